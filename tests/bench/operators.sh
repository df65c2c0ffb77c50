#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# CPU of operators, incremental beside batch: sh tests/bench/operators.sh [evaluations, 20]
cd "$(dirname "$0")/../.." || exit 1
make build/none/bench/operators >/dev/null || exit 1
for n in 10000 100000; do
    build/none/bench/operators "$n" "${1:-20}" || exit 1
done
