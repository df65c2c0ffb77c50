#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A collector under a hostile peer (hostile.c), then what is left of it: 20,000 series of the greedy
# agent, the rest counted and alerted. Memory is judged without sanitizers only.
set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build/none}
dir=$(mktemp -d)
pid=
finish() {
    [ -n "$pid" ] && kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    rm -rf "$dir"
}
trap finish EXIT INT TERM
# shellcheck disable=SC2046
cc -std=c17 -O2 -D_GNU_SOURCE -I. -Ibuild/gen -o "$dir/hostile" tests/e2e/hostile.c build/none/libwire.a \
    build/none/libbase.a $(pkg-config --libs libprotobuf-c liblz4 yaml-0.1) -lm -lpthread || exit 1
cat >"$dir/collector.yaml" <<CONF
listen: {http: "127.0.0.1:0", agents: "127.0.0.1:0"}
state_dir: $dir/state
CONF
ulimit -n 16384
${COLLECTOR:-$B/tocsin-collector} --config "$dir/collector.yaml" >"$dir/log" 2>&1 &
pid=$!
n=0
until [ -s "$dir/state/ingest.addr" ]; do
    n=$((n + 1))
    [ $n -lt 100 ] || { cat "$dir/log"; exit 1; }
    sleep 0.1
done
port=$(sed 's/.*://' "$dir/state/ingest.addr")
http=$(cat "$dir/state/http.addr")
slow=
[ "${SAN:-none}" = none ] || slow=slow
# shellcheck disable=SC2086
"$dir/hostile" "$port" "$pid" $slow | tee "$dir/out" | sed '$d'
counts=$(tail -n 1 "$dir/out")
passed=${counts%% *}
failed=${counts#*, }
failed=${failed%% *}
expect() { # what query wanted
    got=$(curl -fsS -G "http://$http/api/v1/query" --data-urlencode "query=$2")
    case $got in
    *"\"$3\"]"*) passed=$((passed + 1)); echo "ok   $1" ;;
    *) failed=$((failed + 1)); echo "FAIL $1: $got" ;;
    esac
}
sleep 2
expect "20,000 series of the greedy agent are kept" 'count({instance="greedy",job="node",__name__="greed"})' 20000
expect "the excess is counted" 'tocsin_collector_series_refused_total{instance="greedy"} > bool 10000' 1
# One of the agent without a clock, whose ids are out of range otherwise.
expect "samples from the future are counted" 'tocsin_collector_samples_ahead_total' 2
expect "those after it are kept" 'ahead{instance="ahead"}' 20
if grep -q 'event=samples_ahead .*host="ahead" samples=1 ahead_ms=3[45]' "$dir/log"; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "FAIL the future is logged"
fi
expect "the excess is alerted" 'count(ALERTS{alertname="SeriesLimit",alertstate="firing",instance="greedy"})' 1
# It ends as it should, and a sanitizer that found something says so now.
kill "$pid"
wait "$pid" || { failed=$((failed + 1)); echo "FAIL the collector ended with $?"; }
pid=
[ "$failed" -eq 0 ] || cat "$dir/log"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
