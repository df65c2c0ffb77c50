#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The starter rules are plain Prometheus rules: Debian's promtool accepts them and passes their unit
# tests; our own check accepts them with their overrides.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0
failed=0
try() {
    what=$1
    shift
    if out=$("$@" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); printf 'FAIL %s\n%s\n' "$what" "$out"; fi
}
try "promtool check rules" promtool check rules rules/stock/starter.yaml
(cd rules/stock && promtool test rules starter.test.yaml) >/dev/null 2>&1 && passed=$((passed + 1)) || {
    failed=$((failed + 1))
    (cd rules/stock && promtool test rules starter.test.yaml)
}
try "tocsin rules fmt --check" "${B:-build/none}/tocsin" rules fmt --check rules/stock/starter.yaml
try "tocsin rules test" "${B:-build/none}/tocsin" rules test rules/stock/starter.test.yaml
try "tocsin rules check" "${B:-build/none}/tocsin" rules check rules/stock/starter.yaml rules/stock/starter.overrides.yaml
# A rule without a test is not a starter rule.
for alert in $(sed -n 's/^ *- alert: //p' rules/stock/starter.yaml); do
    try "$alert has a test in which it fires" sh -c "grep -A1 'alertname: $alert\$' rules/stock/starter.test.yaml | grep -q 'exp_alerts:\$'"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
