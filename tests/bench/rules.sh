#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What rules cost: sh tests/bench/rules.sh [seconds, 20]
# Mixed rules beside Debian's Prometheus on the same series and rule file where it is installed (its
# CPU with the rules less that without, after five minutes of history), the delay from a drain's
# start to its transition, and what parts of expressions cost.
cd "$(dirname "$0")/../.." || exit 1
make build/none/bench/rules >/dev/null || exit 1
seconds=${1:-20}
bench=build/none/bench/rules
for n in 1000 10000; do
    $bench mixed $n "$seconds" || exit 1
done
$bench mixed 1000 "$seconds" arrival || exit 1
$bench mixed 1000 3 batch || exit 1
node tests/bench/rules.mjs "$seconds" 1000 10000 || exit 1
$bench delay "$seconds" || exit 1
for n in 10000 100000 1000000; do
    $bench parts $n 10 || exit 1
done
