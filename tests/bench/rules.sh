#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# CPU of rule evaluation: sh tests/bench/rules.sh [seconds, 20]
cd "$(dirname "$0")/../.." || exit 1
make build/none/bench/rules >/dev/null || exit 1
for n in 1000 10000; do
    build/none/bench/rules "$n" "${1:-20}" || exit 1
done
build/none/bench/rules 1000 "${1:-20}" 1
