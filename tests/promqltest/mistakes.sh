#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The runner finds every wrong expectation of mistakes/*.test and says what is wrong.
# usage: tests/promqltest/mistakes.sh build/none/promqltest
set -u
here=$(dirname "$0")
out=$(mktemp)
trap 'rm -f "$out"' EXIT INT TERM
"$1" "$here/mistakes" | sed "s,$here/,," >"$out"
if diff -u "$here/mistakes/expected.txt" "$out"; then
    echo "1 passed, 0 failed"
else
    echo "0 passed, 1 failed"
    exit 1
fi
