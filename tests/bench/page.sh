#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Sample to webhook under load: sh tests/bench/page.sh [transitions, 1000] [samples a second, 50000]
cd "$(dirname "$0")/../.." && make -s all build/none/drills/feed build/none/bench/load && exec node tests/bench/page.mjs "$@"
