#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Cost beside peers: sh tests/bench/cost.sh [seconds, 30] [connections, 10000] [agents, 1000]
cd "$(dirname "$0")/../.." && ulimit -n "$(ulimit -Hn)" && make all build/none/bench/load >/dev/null && exec node tests/bench/cost.mjs "$@"
