#!/usr/bin/env bash
# Checks the alert rules, and the example of a configuration, with promtool. Says so loudly where there is none.
set -euo pipefail
cd "$(dirname "$0")/monitoring"

tools="$(realpath --no-symlinks "${CARGO_TARGET_DIR:-../../target}")/tools"
promtool="$tools/promtool/usr/bin/promtool"
[ -x "$promtool" ] || promtool=$(command -v promtool || true)
if [ -z "$promtool" ]; then
    echo "check-monitoring: SKIPPED, deploy/monitoring/alerts.yml was NOT checked: promtool cannot be had here" >&2
    exit 0
fi
"$promtool" check rules alerts.yml
# The key is not on this machine.
"$promtool" check config --syntax-only prometheus.yml
