#!/bin/sh
# Bundles the page into build/web/ as gzip files that collector/assets.S embeds. Needs node >= 18
# and npm; the packages come from the lock file.
set -eu
cd "$(dirname "$0")"
if [ ! -d node_modules/esbuild ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --omit=dev --no-audit --no-fund --loglevel=error >&2
fi
node build.mjs
touch ../build/web/stamp
