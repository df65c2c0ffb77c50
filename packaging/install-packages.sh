#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs Debian packages that are missing, and nothing else:
#
#     sh packaging/install-packages.sh build LOG    what building needs
#     sh packaging/install-packages.sh test LOG     and what the tests need
#
# Root or sudo is needed only while something is missing. No service is started: the tests start
# their own. apt's output goes to LOG and is shown when it fails.
set -u
what=${1:-build}
log=${2:-/dev/null}
guard=
SUDO=
[ "$(id -u)" -eq 0 ] || SUDO=sudo

# package[:a program that does as well]
wanted='gcc make pkg-config libc6-dev libcurl4-openssl-dev libprotobuf-c-dev protobuf-c-compiler
    protobuf-compiler libmicrohttpd-dev libcjson-dev libwslay-dev libyaml-dev liblz4-dev
    libsqlite3-dev zlib1g-dev libssl-dev libc-ares-dev nodejs:node npm:npm curl:curl ca-certificates procps:pgrep'
[ "$what" = test ] && wanted="$wanted libcunit1-dev nginx-light:nginx redis-server:redis-server
    redis-tools:redis-benchmark postgresql wrk:wrk prometheus:promtool
    prometheus-alertmanager:amtool prometheus-node-exporter:prometheus-node-exporter chromium:chromium memcached:memcached nats-server:nats-server
    mosquitto:mosquitto mariadb-server:mariadbd openssl:openssl dnsmasq-base:dnsmasq librdkafka-dev iproute2:ip
    rabbitmq-server:rabbitmqctl haproxy:haproxy
    monitoring-plugins-basic clang-14:clang-14 libbpf-dev bpftool:bpftool"

missing=
for want in $wanted; do
    package=${want%%:*}
    case $want in
    *:*) PATH=$PATH:/usr/sbin command -v "${want#*:}" >/dev/null && continue ;;
    esac
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

cleanup() { [ -z "$guard" ] || $SUDO rm -f /usr/sbin/policy-rc.d; }
trap cleanup EXIT
trap 'exit 1' INT TERM
if [ -n "$SUDO" ] && ! command -v sudo >/dev/null; then
    echo "run as root, to install:$missing" >&2
    exit 1
fi
echo "installing:$missing"
if [ ! -e /usr/sbin/policy-rc.d ]; then
    guard=1
    printf '#!/bin/sh\nexit 101\n' | $SUDO tee /usr/sbin/policy-rc.d >/dev/null
    $SUDO chmod 755 /usr/sbin/policy-rc.d
fi
for call in update "install --no-install-recommends $missing"; do
    # shellcheck disable=SC2086
    if ! $SUDO env DEBIAN_FRONTEND=noninteractive apt-get -q -y $call >"$log" 2>&1 </dev/null; then
        [ "$log" = /dev/null ] || tail -n 40 "$log" >&2
        echo "apt-get $call failed" >&2
        exit 1
    fi
done
