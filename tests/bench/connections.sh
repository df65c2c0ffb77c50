#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the kernel's programs cost for each connection: sh tests/bench/connections.sh [connections, 20000]
# Needs root and bpftool.
cd "$(dirname "$0")/../.." && make all >/dev/null && exec node tests/bench/connections.mjs "$@"
