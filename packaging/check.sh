#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a bare Debian 12 to a tested build: installs what build and tests need, then `make check`.
# Needs root or sudo only while something is missing. The last line is `N passed, N failed`.
set -u
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp)
trap 'rm -f "$log" "$log.rc"' EXIT
trap 'exit 1' INT TERM

fail() {
    echo "$1"
    echo "0 passed, 1 failed"
    exit 1
}

sh packaging/install-packages.sh test "$log" || fail "packages could not be installed"
# The page's tests want the development packages of the lock file too.
if [ ! -d web/node_modules/playwright-core ]; then
    (cd web && npm ci --no-audit --no-fund --loglevel=error) >"$log" 2>&1 || {
        tail -n 20 "$log"
        fail "npm ci failed"
    }
fi

{
    make check WERROR=1 -j"$(nproc)" 2>&1
    echo $? >"$log.rc"
} | tee "$log"
rc=$(cat "$log.rc")
counts=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
if [ "$rc" -ne 0 ] && [ -z "$counts" ]; then
    fail "the build failed"
fi
# make has the last word when a test failed; ours comes after it.
[ "$(tail -n 1 "$log")" = "$counts" ] || echo "$counts"
exit "$rc"
