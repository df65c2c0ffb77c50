#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# CPU that a scraped line costs the agent, beside Prometheus scraping the same page in the same run:
#     sh tests/bench/scrape.sh [seconds of each, 15] [lines, 1000 10000]
# As root it runs in a network namespace of its own, where nothing else listens or connects.
cd "$(dirname "$0")/../.." && make all >/dev/null || exit 1
[ "$(id -u)" -eq 0 ] && [ -z "${HERE:-}" ] &&
    exec unshare -n sh -c 'ip link set lo up && exec node tests/bench/scrape.mjs "$@"' sh "$@"
exec node tests/bench/scrape.mjs "$@"
