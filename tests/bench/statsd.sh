#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# CPU of the agent for each line of StatsD, beside collectd's plugin: sh tests/bench/statsd.sh [lines, 200000]
cd "$(dirname "$0")/../.." || exit 1
make build/none/tocsin-agent build/none/tocsin-collector >/dev/null || exit 1
exec node tests/bench/statsd.mjs "$@"
