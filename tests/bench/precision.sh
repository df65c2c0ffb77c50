#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# False pages: sh tests/bench/precision.sh [restarts, 100] [idle seconds, 3600]
cd "$(dirname "$0")/../.." && exec node tests/bench/precision.mjs "$@"
