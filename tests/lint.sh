#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Formatting and cppcheck decide; clang-tidy is a report to read. TIDY=0 leaves it out.
set -u
rc=0
files=$(git ls-files '*.c' '*.h' | while read -r f; do [ -f "$f" ] && echo "$f"; done)
# Programs for the kernel are checked by its verifier; their macros are not C's.
sources=$(echo "$files" | grep '\.c$' | grep -v '^agent/bpf/')

echo "clang-format"
# shellcheck disable=SC2086
clang-format --dry-run -Werror $files || rc=1

echo "cppcheck"
# shellcheck disable=SC2086
cppcheck --quiet --library=posix --library=gnu --std=c11 --inline-suppr --error-exitcode=1 \
    --enable=warning,portability --suppress=missingIncludeSystem --suppress=readdirCalled -I. -D_GNU_SOURCE \
    -j 2 $sources || rc=1

if [ "${TIDY:-1}" = 1 ] && command -v clang-tidy >/dev/null; then
    echo "clang-tidy (report only)"
    # shellcheck disable=SC2086
    clang-tidy --quiet $sources -- -std=c17 -I. -Ibuild/gen -D_GNU_SOURCE 2>/dev/null |
        grep -E 'warning:|error:' | sort -u || true
fi
exit $rc
