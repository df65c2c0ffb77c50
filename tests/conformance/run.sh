#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# make conformance: runs each program given, and ends with the sum of their last lines.
set -u
passed=0
failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT INT TERM
for program in "$@"; do
    rc=0
    "$program" >"$out" 2>&1 </dev/null || rc=$?
    counts=$(tail -n 1 "$out" | grep -aE '^[0-9]+ passed, [0-9]+ failed$')
    if [ -n "$counts" ]; then
        sed '$d' "$out"
        f=${counts#*, }
        passed=$((passed + ${counts%% *}))
        failed=$((failed + ${f%% *}))
    else
        cat "$out"
        echo "$program ended with $rc"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
