#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a bare Debian 12 to a tested build: installs what build and tests need, then `make check`.
# Needs root or sudo only while something is missing. The last line is `N passed, N failed`.
set -u
cd "$(dirname "$0")/.." || exit 1

log=$(mktemp)
guard=
SUDO=
[ "$(id -u)" -eq 0 ] || SUDO=sudo

# shellcheck disable=SC2317
cleanup() {
    [ -n "$guard" ] && $SUDO rm -f /usr/sbin/policy-rc.d
    rm -f "$log" "$log.rc"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

fail() {
    echo "$1"
    echo "0 passed, 1 failed"
    exit 1
}

apt_get() {
    if ! $SUDO env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >"$log" 2>&1 </dev/null; then
        tail -n 40 "$log"
        fail "apt-get $1 failed"
    fi
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# package[:program that does as well]
missing=
for want in gcc make pkg-config libc6-dev \
    libcurl4-openssl-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler \
    libmicrohttpd-dev libcjson-dev libcunit1-dev libwslay-dev libyaml-dev liblz4-dev \
    libsqlite3-dev nodejs:node npm:npm nginx-light:nginx redis-server:redis-server \
    redis-tools:redis-benchmark postgresql wrk:wrk prometheus:promtool chromium:chromium \
    curl:curl ca-certificates procps:pgrep; do
    package=${want%%:*}
    case $want in
    *:*) PATH=$PATH:/usr/sbin command -v "${want#*:}" >/dev/null && continue ;;
    esac
    is_installed "$package" || missing="$missing $package"
done

if [ -n "$missing" ]; then
    [ -z "$SUDO" ] || command -v sudo >/dev/null || fail "run as root, to install:$missing"
    echo "installing:$missing"
    # Packages of servers start them when installed; the tests start their own.
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        guard=1
        printf '#!/bin/sh\nexit 101\n' | $SUDO tee /usr/sbin/policy-rc.d >/dev/null
        $SUDO chmod 755 /usr/sbin/policy-rc.d
    fi
    apt_get update
    # shellcheck disable=SC2086
    apt_get install --no-install-recommends $missing
    if [ -n "$guard" ]; then
        $SUDO rm -f /usr/sbin/policy-rc.d
        guard=
    fi
fi

{
    make check WERROR=1 -j"$(nproc)" 2>&1
    echo $? >"$log.rc"
} | tee "$log"
rc=$(cat "$log.rc")
counts=$(grep -aE '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -n 1)
if [ "$rc" -ne 0 ] && [ -z "$counts" ]; then
    fail "the build failed"
fi
# make has the last word when a test failed; ours comes after it.
[ "$(tail -n 1 "$log")" = "$counts" ] || echo "$counts"
exit "$rc"
