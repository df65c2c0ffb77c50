#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Many alerts at once, one message each and grouped: sh tests/bench/alerts.sh [alerts, 10000]
cd "$(dirname "$0")/../.." && make -s all build/none/drills/feed && exec node tests/bench/alerts.mjs "$@"
