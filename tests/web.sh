#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The page's own tests under node, with their counts in the form tests/run.sh sums up.
set -u
out=$(mktemp)
trap 'rm -f "$out"' EXIT INT TERM
node --test web/test >"$out" 2>&1
rc=$?
count() {
    sed -n "s/^[^a-z]*$1 \([0-9]*\)\$/\1/p" "$out" | tail -n 1
}
passed=$(count pass)
failed=$(count fail)
cancelled=$(count cancelled)
passed=${passed:-0}
failed=$((${failed:-0} + ${cancelled:-0}))
if [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
fi
[ "$failed" -eq 0 ] || cat "$out"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
