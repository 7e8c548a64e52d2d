#!/usr/bin/env bash
# Builds the fuzz targets and runs them one after another. Prints a table, and fails if a target crashed. `make fuzz` calls it.
#
#   fuzz/run.sh OUT SECONDS [TARGET...]       OUT is the folder for builds, corpora, logs and what crashes; no TARGET: all
set -euo pipefail

out=$(realpath --no-symlinks "$1") seconds=$2
shift 2
cd "$(dirname "$0")/.."
mapfile -t targets < <(if [ $# -gt 0 ]; then printf '%s\n' "$@"; else sed -n 's/^name = "\([a-z_]*\)"$/\1/p' fuzz/Cargo.toml; fi)

# Without a sanitizer: there is no unsafe code of ours to watch, and a target does several times as much.
[ "${FUZZ_BUILT:-}" = 1 ] || cargo +nightly fuzz build --fuzz-dir fuzz --target-dir "$out" --sanitizer none
host=$(rustc +nightly -vV | sed -n 's/^host: //p')
mkdir -p "$out/bin" "$out/logs" "$out/crashes"

# The messages that were shipped are the seeds of what reads messages.
seeds() {
    local golden=nats/golden
    case $1 in
    reports) echo $golden/acks $golden/events ;;
    heartbeats) echo $golden/heartbeats ;;
    handshakes) echo $golden/{sync,intent}_answers $golden/sync_requests $golden/intents ;;
    signs) echo $golden/sign_requests $golden/sign_answers ;;
    commands) echo $golden/commands $golden/node_requests ;;
    node_answers) echo $golden/node_answers ;;
    http) echo openapi/golden/{registration,enrolment,standing_question,standing_answer} ;;
    esac
    [ ! -d "fuzz/seeds/$1" ] || echo "fuzz/seeds/$1"
}

# fuzz TARGET: fails if it crashed.
fuzz() {
    local dictionary=fuzz/dictionaries/$1.dict
    [ -e "$dictionary" ] || dictionary=fuzz/dictionaries/wire.dict
    mkdir -p "$out/corpus/$1"
    # A copy: a build meanwhile does not touch it.
    cp "$out/$host/release/$1" "$out/bin/$1"
    # shellcheck disable=SC2046  # several folders
    "$out/bin/$1" -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -dict="$dictionary" -artifact_prefix="$out/crashes/$1-" "$out/corpus/$1" $(seeds "$1") >"$out/logs/$1.log" 2>&1
}

# row TARGET SECONDS CRASHES
row() {
    local log=$out/logs/$1.log
    printf '%-14s %8s %14s %9s %9s %8s\n' "$1" "$2" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" \
        "$(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)" "$3"
}

# A function, so that a change of this file meanwhile does not matter.
main() {
    printf '%-14s %8s %14s %9s %9s %8s\n' target seconds executions exec/s coverage crashes
    failed=0
    for target in "${targets[@]}"; do
        begin=$SECONDS crashes=0
        fuzz "$target" || crashes=1
        row "$target" $((SECONDS - begin)) "$crashes"
        [ "$crashes" = 0 ] || { failed=1 && tail -n 15 "$out/logs/$target.log" >&2; }
    done
    [ "$failed" = 0 ] || { echo "What crashed is in $out/crashes" >&2 && exit 1; }
    exit
}
main
