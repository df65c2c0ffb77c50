#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Cost beside peers: sh tests/bench/cost.sh [seconds, 30] [connections, 10000] [agents, 1000]
# As root all of it runs in a network namespace of its own, where nothing else listens.
cd "$(dirname "$0")/../.." && ulimit -n "$(ulimit -Hn)" && make all build/none/bench/load >/dev/null || exit 1
sync # pages of programs just built count as private until they are written
[ "$(id -u)" -eq 0 ] && [ -z "${HERE:-}" ] &&
    exec unshare -n sh -c 'ip link set lo up && exec node tests/bench/cost.mjs "$@"' sh "$@"
exec node tests/bench/cost.mjs "$@"
