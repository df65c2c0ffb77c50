#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzzes every parser for FUZZ_SECONDS each with libFuzzer, address and undefined sanitizers:
#
#     make fuzz FUZZ_SECONDS=300           all
#     FUZZ=yaml make fuzz                  one
#
# A target names the folders it needs in its first lines, `// links: rules base`. New inputs stay
# in build/fuzz; a crash stops the run and says which file to add to tests/fuzz/regress/NAME.
set -u
CLANG=${CLANG:-clang-14}
FUZZ_SECONDS=${FUZZ_SECONDS:-30}
FUZZ=${FUZZ:-*}
PKGS="libcurl libcares libssl libcrypto libprotobuf-c libmicrohttpd libcjson yaml-0.1 liblz4 sqlite3 zlib"
# shellcheck disable=SC2086
FLAGS="-std=c17 -g -O1 -fno-omit-frame-pointer -ffp-contract=off -D_GNU_SOURCE -I. -Ibuild/gen
    -fsanitize=address,undefined -fno-sanitize-recover=all $(pkg-config --cflags $PKGS)"
# shellcheck disable=SC2086
LIBS="$(pkg-config --libs $PKGS) -lwslay -lm -lpthread"
export ASAN_OPTIONS="${ASAN_OPTIONS:-allocator_may_return_null=1}"

# Compiles a source once per run and change; prints the object's name.
object() {
    o=build/fuzz/obj/${1%.c}.o
    if [ ! -f "$o" ] || [ -n "$(find "$1" -newer "$o")" ] ||
        [ -n "$(find base wire rules agent collector cli -name '*.h' -newer "$o" 2>/dev/null)" ]; then
        mkdir -p "$(dirname "$o")"
        # shellcheck disable=SC2086
        "$CLANG" $FLAGS -fsanitize=fuzzer-no-link -c -o "$o" "$1" || return 1
    fi
    echo "$o"
}

build() {
    src=tests/fuzz/fuzz_$1.c
    folders=$(sed -n '1,5s,^// links: ,,p' "$src")
    object=$(object "$src") || return 1
    # Archives, so that only what a target uses has to be whole: the page's files are not here.
    archives=
    for folder in ${folders:-base}; do
        members=
        for c in "$folder"/*.c; do
            [ "$c" = "$folder/main.c" ] && continue
            o=$(object "$c") || return 1
            members="$members $o"
        done
        if [ "$folder" = wire ]; then
            o=$(object build/gen/wire/tocsin.pb-c.c) || return 1
            members="$members $o"
        fi
        if [ "$folder" = agent ]; then
            o=$(object build/gen/agent/otlp.pb-c.c) || return 1
            members="$members $o"
        fi
        rm -f "build/fuzz/lib$folder.a"
        # shellcheck disable=SC2086
        ar rcs "build/fuzz/lib$folder.a" $members || return 1
        archives="$archives build/fuzz/lib$folder.a"
    done
    # A peer to compare with, in C++, where its library is installed.
    peer=
    if [ -f "tests/fuzz/peer_$1.cc" ]; then
        lib=$(sed -n 's,^#include <\([a-z0-9]*\)/.*,\1,p' "tests/fuzz/peer_$1.cc")
        if pkg-config --exists "$lib"; then
            # shellcheck disable=SC2046
            "$CLANG" -x c++ -std=c++17 -g -O1 -fsanitize=address,undefined $(pkg-config --cflags "$lib") \
                -c -o "build/fuzz/peer_$1.o" "tests/fuzz/peer_$1.cc" || return 1
            peer="build/fuzz/peer_$1.o $(pkg-config --libs "$lib") -lstdc++"
        else
            echo "fuzz_$1: without its peer, $lib is not installed"
        fi
    fi
    # shellcheck disable=SC2086
    "$CLANG" -fsanitize=fuzzer,address,undefined -o "build/fuzz/$1" "$object" -Wl,--start-group $archives \
        -Wl,--end-group $peer $LIBS
}

mkdir -p build/fuzz
found=0
for src in tests/fuzz/fuzz_$FUZZ.c; do
    [ -f "$src" ] || continue
    found=1
    name=$(basename "$src" .c)
    name=${name#fuzz_}
    build "$name" || exit 1
    mkdir -p "build/fuzz/corpus_$name"
    seeds=
    for d in "tests/fuzz/corpus/$name" "tests/fuzz/regress/$name"; do
        [ -d "$d" ] && seeds="$seeds $d"
    done
    [ -f "tests/fuzz/$name.dict" ] && seeds="-dict=tests/fuzz/$name.dict $seeds"
    log=build/fuzz/$name.log
    # shellcheck disable=SC2086
    if ! "build/fuzz/$name" -max_total_time="$FUZZ_SECONDS" -max_len=65536 -timeout=10 \
        -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="build/fuzz/crash_${name}_" \
        "build/fuzz/corpus_$name" $seeds >"$log" 2>&1; then
        tail -n 60 "$log"
        echo "fuzz_$name: FAILED; add the input named above to tests/fuzz/regress/$name/"
        exit 1
    fi
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    echo "fuzz_$name: $runs executions in $FUZZ_SECONDS s, clean"
done
if [ "$found" -eq 0 ]; then
    echo "no fuzz target matches fuzz_$FUZZ.c"
    exit 1
fi
