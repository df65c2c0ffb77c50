#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fails on a wrong-way include, and on I/O, clocks or threads in rules/.
#
#     base <- wire <- agent        base <- rules        base, wire, rules <- collector, cli
#
# usage: tests/layers.sh BUILD_FOLDER
set -u
B=${1:-build/none}

# check_includes ROOT: prints each violation as `rules may not include wire: rules/x.h:2`.
check_includes() {
    (
        cd "$1" || exit 1
        for folder in base wire rules agent collector cli; do
            case $folder in
            base) may="base" ;;
            wire) may="base wire" ;;
            rules) may="base rules" ;;
            agent) may="base wire agent" ;;
            collector) may="base wire rules collector" ;;
            cli) may="base wire rules cli" ;;
            esac
            [ -d "$folder" ] || continue
            find "$folder" -name '*.[ch]' -exec awk -v folder="$folder" -v may=" $may " '
                BEGIN { known = " base wire rules agent collector cli tests " }
                /^[ \t]*#[ \t]*include[ \t]*["<][.a-z_]+\// {
                    path = $0
                    sub(/^[^"<]*["<]/, "", path)
                    while (sub(/^\.\.?\//, "", path))
                        ;
                    sub(/\/.*/, "", path)
                    if (index(known, " " path " ") && !index(may, " " path " "))
                        printf "%s may not include %s: %s:%d\n", folder, path, FILENAME, FNR
                }' {} +
        done
    )
}

# check_symbols < output of nm: prints each symbol a pure library may not need.
check_symbols() {
    awk 'NF >= 2 && $(NF - 1) == "U" { print $NF }' | sort -u | grep -xE \
'open|open64|openat|creat|fopen|fopen64|fdopen|freopen|read|write|pread|pwrite|readv|writev|'\
'close|unlink|rename|stat|fstat|lstat|opendir|readdir|fread|fwrite|fgets|fputs|'\
'printf|__printf_chk|fprintf|__fprintf_chk|vprintf|vfprintf|puts|putchar|perror|stdout|stderr|syslog|'\
'time|clock|clock_gettime|gettimeofday|nanosleep|clock_nanosleep|sleep|usleep|alarm|timer_create|'\
'socket|connect|bind|listen|accept|accept4|send|sendto|sendmsg|recv|recvfrom|recvmsg|poll|select|'\
'epoll_[a-z0-9_]+|eventfd|timerfd_[a-z]+|pipe|pipe2|ioctl|fork|execve|execv|system|popen|'\
'pthread_(create|join|detach|cond_.*|mutex_.*|rwlock_.*|once|key_.*)|thrd_create|mtx_lock|signal|sigaction|'\
'getenv|secure_getenv|setenv|rand|random|drand48|getrandom|log_write|loop_[a-z_]+|clock_system|random_bytes|'\
'buf_add_path|buf_add_stream|secret_read'
}

# The check is checked first: a planted violation of each kind must be found, and only those.
self_test() {
    tree=$(mktemp -d) || return 1
    mkdir -p "$tree/rules" "$tree/agent" "$tree/tests" "$tree/base"
    printf '#pragma once\n#include "collector/store.h"\n#include "base/buf.h"\n' >"$tree/rules/x.h"
    printf '#include "../rules/x.h"\n#include <sys/socket.h>\n' >"$tree/agent/a.c"
    printf '#include "collector/store.h"\n' >"$tree/tests/t.c"
    found=$(check_includes "$tree")
    rm -rf "$tree"
    want='rules may not include collector: rules/x.h:2
agent may not include rules: agent/a.c:1'
    if [ "$found" != "$want" ]; then
        printf 'layers.sh does not find a planted include; it says:\n%s\n' "$found"
        return 1
    fi
    found=$(printf '%s\n' '                 U memcpy' '                 U clock_gettime' \
        '0000000000000000 T read_rules' '                 U readlines' | check_symbols)
    if [ "$found" != clock_gettime ]; then
        printf 'layers.sh does not find a planted symbol; it says:\n%s\n' "$found"
        return 1
    fi
}

self_test || exit 1
rc=0
found=$(check_includes .)
if [ -n "$found" ]; then
    printf '%s\n' "$found"
    rc=1
fi
if [ -f "$B/librules.a" ]; then
    symbols=$(nm -u "$B/librules.a" | check_symbols)
    for s in $symbols; do
        where=$(nm -A -u "$B/librules.a" | awk -v s="$s" '$NF == s { print $1 }' | head -n 1)
        echo "rules may not use $s: $where"
        rc=1
    done
fi
exit $rc
