#!/bin/sh
# From a git checkout on a bare Debian 12 to a live page:
#
#     sh packaging/quickstart.sh           install what is needed, build, start, wait, print the URL
#     sh packaging/quickstart.sh --stop    stop collector and agent
#     sh packaging/quickstart.sh --clean   stop, and remove ./run (samples, identity, logs)
#
# Everything it makes is under ./run and ./build. Running it twice is safe: what runs already is
# restarted only if it was built anew. Needs root (or sudo) for the package step alone.
set -eu
cd "$(dirname "$0")/.."
run=$PWD/run
begun=$(date +%s)

step() { printf '%4ss  %s\n' "$(($(date +%s) - begun))" "$*"; }
die() { printf 'quickstart: %s\n' "$*" >&2; exit 1; }

# A pid counts only while it is still the program we started.
alive() { # name -> prints pid
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    case $(readlink "/proc/$pid/exe" 2>/dev/null) in
        */tocsin-"$1"|*/tocsin-"$1 (deleted)") echo "$pid" ;;
        *) return 1 ;;
    esac
}

stop() { # name
    pid=$(alive "$1") || { rm -f "$run/$1.pid"; return 0; }
    kill "$pid" 2>/dev/null || true
    n=0
    while kill -0 "$pid" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
    kill -9 "$pid" 2>/dev/null || true
    rm -f "$run/$1.pid"
}

case ${1:-} in
    '') ;;
    --stop) stop agent; stop collector; echo "stopped"; exit 0 ;;
    --clean) stop agent; stop collector; rm -rf "$run"; echo "stopped, ./run removed"; exit 0 ;;
    -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) die "unknown option $1 (see --help)" ;;
esac

mkdir -p "$run"
sh packaging/install-packages.sh build "$run/packages.log" || die "packages could not be installed, see run/packages.log"
step "packages are there"

make -j"$(nproc)" all >"$run/build.log" 2>&1 || { tail -n 20 "$run/build.log" >&2; die "build failed, see run/build.log"; }
bin=$PWD/build/none
step "built $(cd "$bin" && ls tocsin-agent tocsin-collector tocsin | tr '\n' ' ')"

[ -e "$run/collector.yaml" ] || cat >"$run/collector.yaml" <<CONF
# Made once by packaging/quickstart.sh; edit it, then run quickstart again.
# All keys with their defaults: packaging/conf/collector.yaml
listen: {http: "127.0.0.1:7311", agents: "127.0.0.1:7312"}
state_dir: $run/collector
rules: [$PWD/rules/stock/starter.yaml, $PWD/rules/stock/starter.overrides.yaml, $run/rules.d]
# Where pages go. \`$bin/tocsin hooks listen --port 7319\` shows them arriving.
route: {receiver: default}
receivers:
  - name: default
    webhook_configs: [{url: "http://127.0.0.1:7319/"}]
CONF
[ -e "$run/agent.yaml" ] || cat >"$run/agent.yaml" <<CONF
# Made once by packaging/quickstart.sh. All keys with their defaults: packaging/conf/agent.yaml
collector: http://127.0.0.1:7312
state_dir: $run/agent
CONF
mkdir -p "$run/rules.d" "$run/collector" "$run/agent"

start() { # name
    if pid=$(alive "$1"); then
        # The same binary and config as the running one: leave it alone.
        if [ "/proc/$pid/exe" -ef "$bin/tocsin-$1" ] && [ "$run/$1.pid" -nt "$run/$1.yaml" ]; then return 0; fi
        stop "$1"
    fi
    "$bin/tocsin-$1" --config "$run/$1.yaml" --check >"$run/$1.check" 2>&1 || { cat "$run/$1.check" >&2; die "run/$1.yaml is not valid"; }
    nohup "$bin/tocsin-$1" --config "$run/$1.yaml" >>"$run/$1.log" 2>&1 </dev/null &
    echo $! >"$run/$1.pid"
}
start collector
n=0
until curl -fsS -o /dev/null "http://127.0.0.1:7311/-/ready" 2>/dev/null; do
    alive collector >/dev/null || { tail -n 5 "$run/collector.log" >&2; die "the collector ended, see run/collector.log"; }
    n=$((n + 1)); [ $n -lt 100 ] || die "the collector is not ready after 10 s, see run/collector.log"
    sleep 0.1
done
start agent
step "collector and agent are running"

n=0
until curl -fsS "http://127.0.0.1:7311/api/v1/query?query=up%7Bjob%3D%22node%22%7D%20%3D%3D%201" 2>/dev/null | grep -q '"instance"'; do
    alive agent >/dev/null || { tail -n 5 "$run/agent.log" >&2; die "the agent ended, see run/agent.log"; }
    n=$((n + 1)); [ $n -lt 100 ] || die "no sample was acknowledged within 10 s, see run/agent.log"
    sleep 0.1
done
curl -fsS -o /dev/null http://127.0.0.1:7311/ || die "the page does not answer, see run/collector.log"
step "first sample acknowledged"

cat <<DONE

  The page is live:  http://127.0.0.1:7311/

  See a page arrive:   build/none/tocsin hooks listen --port 7319
  In the terminal:     build/none/tocsin top
  Your first rule:     put a Prometheus rule file into run/rules.d/, then
                       build/none/tocsin rules check run/rules.d && kill -HUP $(cat "$run/collector.pid")
  Stop:                sh packaging/quickstart.sh --stop
DONE
