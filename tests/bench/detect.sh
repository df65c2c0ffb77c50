#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Detection delay, fault to webhook: sh tests/bench/detect.sh [repeats, 30] [fault name part ...]
cd "$(dirname "$0")/../.." && exec node tests/bench/detect.mjs "$@"
