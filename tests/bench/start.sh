#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Start with many alerts in alerts.db: sh tests/bench/start.sh [alerts, 100000] [starts each way, 5]
cd "$(dirname "$0")/../.." && make -s all build/none/drills/feed && exec node tests/bench/start.mjs "$@"
