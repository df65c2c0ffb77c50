#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# CPU and memory of a window: sh tests/bench/windows.sh [seconds, 30]
cd "$(dirname "$0")/../.." || exit 1
make build/none/bench/windows >/dev/null || exit 1
for n in 10000 100000; do
    build/none/bench/windows "$n" "${1:-30}" || exit 1
done
