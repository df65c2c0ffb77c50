#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a probe of each kind costs the agent, and how late 10,000 of them start:
#     sh tests/bench/probes.sh [seconds of each, 8] [probes, 10000] [only: cost or late]
# As root all of it runs in a network namespace of its own, where nothing else listens.
cd "$(dirname "$0")/../.." && ulimit -n "$(ulimit -Hn)" && make all >/dev/null || exit 1
[ "$(id -u)" -eq 0 ] && [ -z "${HERE:-}" ] &&
    exec unshare -n sh -c 'ip link set lo up && exec node tests/bench/probes.mjs "$@"' sh "$@"
exec node tests/bench/probes.mjs "$@"
