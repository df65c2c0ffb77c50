#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `make install`: programs, units, default configs (never over an existing one), rules, completions.
# DESTDIR and PREFIX as usual; B is the build folder.
set -eu
: "${B:?build folder}" "${PREFIX:=/usr/local}"
d=${DESTDIR:-}
put() { mkdir -p "$d$(dirname "$3")" && install -m "$1" "$2" "$d$3"; }
keep() { [ -e "$d$3" ] || put "$1" "$2" "$3"; }

for p in tocsin tocsin-agent tocsin-agent-netns tocsin-collector; do put 755 "$B/$p" "$PREFIX/bin/$p"; done
# Where it was built: librdkafka is optional.
[ ! -x "$B/tocsin-probe-kafka" ] || put 755 "$B/tocsin-probe-kafka" "$PREFIX/bin/tocsin-probe-kafka"
for u in tocsin-agent tocsin-collector; do
    sed "s|@BINDIR@|$PREFIX/bin|" "packaging/systemd/$u.service" >"$B/$u.service"
    put 644 "$B/$u.service" "/etc/systemd/system/$u.service"
done
sed "s|@BINDIR@|$PREFIX/bin|" packaging/systemd/tocsin-agent.netns.conf >"$B/tocsin-agent.netns.conf"
put 644 "$B/tocsin-agent.netns.conf" "$PREFIX/share/tocsin/systemd/tocsin-agent.netns.conf"
for r in starter.yaml starter.overrides.yaml; do put 644 "rules/stock/$r" "$PREFIX/share/tocsin/rules/$r"; done
sed "s|@PREFIX@|$PREFIX|" packaging/conf/collector.yaml >"$B/collector.yaml"
keep 644 "$B/collector.yaml" /etc/tocsin/collector.yaml
keep 644 packaging/conf/agent.yaml /etc/tocsin/agent.yaml
mkdir -p "$d/etc/tocsin/rules.d"
for m in packaging/man/*.[1-8]; do [ -e "$m" ] && put 644 "$m" "$PREFIX/share/man/man${m##*.}/$(basename "$m")"; done
# A cross build cannot run what it built; completions are then left out.
if "$B/tocsin" version >/dev/null 2>&1; then
    "$B/tocsin" completion bash >"$B/tocsin.bash" && put 644 "$B/tocsin.bash" "$PREFIX/share/bash-completion/completions/tocsin"
    "$B/tocsin" completion zsh >"$B/_tocsin" && put 644 "$B/_tocsin" "$PREFIX/share/zsh/site-functions/_tocsin"
    "$B/tocsin" completion fish >"$B/tocsin.fish" && put 644 "$B/tocsin.fish" "$PREFIX/share/fish/vendor_completions.d/tocsin.fish"
fi
echo "installed below ${d:-/}; next: systemctl daemon-reload && systemctl enable --now tocsin-collector tocsin-agent"
