#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs everything that was built for one flavour and sums it up. Called by make:
#
#     SAN=none B=build/none sh tests/run.sh          unit, flow, fuzz replay, web; e2e if SAN=none
#     SAN=asan B=build/asan sh tests/run.sh e2e      the same, with e2e in any flavour
#     ... sh tests/run.sh only-e2e                   tests/e2e alone
#
# Two lanes at once, since e2e mostly waits: those of the agent, numbered below 30, beside all that computes
# and the rest of e2e. One line per program with its seconds; what a failing one printed follows it. A program ends
# with `N passed, N failed`; one without that line counts as one test by its exit status. The
# last line here has the same form and sums all.
set -u
SAN=${SAN:-none}
B=${B:-build/$SAN}
MODE=${1:-}
UNIT_SECONDS=${UNIT_SECONDS:-60}
E2E_SECONDS=${E2E_SECONDS:-300}
work=$(mktemp -d)
lane=$work/unit # where the lane at hand keeps what it has: output, counts
trap 'rm -rf "$work"' EXIT
e2e_pid=
stop() {
    [ -z "$e2e_pid" ] || {
        kill "$e2e_pid"
        pkill -P "$e2e_pid"
    }
    exit 1
}
trap stop INT TERM
passed=0
failed=0

export SAN B
export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-print_stacktrace=1}"
export TSAN_OPTIONS="${TSAN_OPTIONS:-halt_on_error=1:exitcode=66}"

# run SECONDS NAME COMMAND...
run() {
    limit=$1
    name=$2
    shift 2
    out=$lane.out
    start=$(date +%s%3N)
    timeout -k 5 "$limit" "$@" >"$out" 2>&1 </dev/null
    rc=$?
    ms=$(($(date +%s%3N) - start))
    counts=$(tail -n 1 "$out" | grep -aE '^[0-9]+ passed, [0-9]+ failed$')
    p=0
    f=0
    if [ -n "$counts" ]; then
        p=${counts%% *}
        f=${counts#*, }
        f=${f%% *}
    elif [ "$rc" -eq 0 ]; then
        p=1
    fi
    # A sanitizer's report or a time-out after the last test is a failure too.
    if [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then
        f=1
    fi
    passed=$((passed + p))
    failed=$((failed + f))
    report >"$lane.report"
    flock "$work" cat "$lane.report"
}

# What became of the program just run.
report() {
    if [ "$f" -eq 0 ]; then
        printf '  ok    %-44s %4d   %d.%03d s\n' "$name" "$p" $((ms / 1000)) $((ms % 1000))
        return
    fi
    printf '  FAIL  %-44s %4d of %d   %d.%03d s   exit %d\n' "$name" "$f" $((p + f)) \
        $((ms / 1000)) $((ms % 1000)) "$rc"
    [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ] && echo "        ended after $limit s"
    sed 's/^/        /' "$out"
}

unit() {
    # What was built, not what stands in the tree: a program left over from a deleted test is not run.
    for src in tests/unit/*/test_*.c; do
        [ -f "$src" ] || continue
        bin=${src#tests/unit/}
        run "$UNIT_SECONDS" "unit/${bin%.c}" "$B/unit/${bin%.c}"
    done
    for src in tests/flow/test_*.c; do
        [ -f "$src" ] || continue
        bin=$(basename "$src" .c)
        run "$UNIT_SECONDS" "flow/$bin" "$B/flow/$bin"
    done
    run "$UNIT_SECONDS" promqltest/cases "$B/promqltest" tests/promqltest/cases
    run "$UNIT_SECONDS" promqltest/mistakes sh tests/promqltest/mistakes.sh "$B/promqltest"
    for golden in tests/unit/*/golden_*.sh tests/unit/golden_*.sh; do
        [ -f "$golden" ] && run "$UNIT_SECONDS" "${golden#tests/}" sh "$golden"
    done
    # Inputs that once broke a parser, and the corpus, through the parsers as built here.
    for src in tests/fuzz/fuzz_*.c; do
        [ -f "$src" ] || continue
        name=$(basename "$src" .c)
        run "$UNIT_SECONDS" "fuzz/$name" "$B/fuzz/$name" \
            "tests/fuzz/regress/${name#fuzz_}" "tests/fuzz/corpus/${name#fuzz_}"
    done
    # The page is the same in every flavour.
    if [ "$SAN" = none ] && [ -d web/test ] && command -v node >/dev/null; then
        run "$E2E_SECONDS" web/test sh tests/web.sh
    fi
}

# Numbered scripts are tests; the others in the folder are what they share.
e2e() {
    for script in "$@"; do
        [ -f "$script" ] || continue
        name=e2e/$(basename "$script")
        case $script in
        *.sh) run "$E2E_SECONDS" "$name" sh "$script" ;;
        *.mjs) run "$E2E_SECONDS" "$name" node "$script" ;;
        esac
    done
}

if [ "$SAN" = none ] || [ -n "$MODE" ]; then
    {
        trap 'exit 1' INT TERM
        lane=$work/e2e
        e2e tests/e2e/[12]*
        echo "$passed $failed" >"$work/e2e.counts"
    } &
    e2e_pid=$!
else
    echo "0 0" >"$work/e2e.counts"
fi
[ "$MODE" = only-e2e ] || unit
[ -z "$e2e_pid" ] || e2e tests/e2e/[3-9]*
wait
read -r p f <"$work/e2e.counts" || f=1 # the lane did not come to its end
passed=$((passed + ${p:-0}))
failed=$((failed + f))
if [ $((passed + failed)) -eq 0 ]; then
    echo "no test was found"
    failed=1
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
