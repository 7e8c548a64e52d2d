#!/usr/bin/env bash
# Writes down what all programs are made of: for each an SBOM (CycloneDX 1.6, by cargo-sbom), and LICENCES.txt with the licence of every crate that
# is in them. Run by `make audit` and by deploy/release.sh.
#
#   deploy/bill_of_materials.sh FOLDER
#
# Where cargo-sbom cannot be had it says so, writes the licences, and fails with 3.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: deploy/bill_of_materials.sh FOLDER}
cargo=${CARGO:-cargo}
tools="$(realpath --no-symlinks "${CARGO_TARGET_DIR:-target}")/tools"
# By the names of their crates.
programs=(vpnmanager-management vpnmanager-endnode vpnmanager-cli)
platform=$(rustc --version --verbose | sed -n 's/^host: //p')

mkdir -p "$out"
"$cargo" metadata --locked --format-version 1 --filter-platform "$platform" | python3 deploy/licences.py "${programs[@]}" >"$out/LICENCES.txt"
echo "$out/LICENCES.txt"

if ! services/testbed/prerequisites.sh --tools sbom; then
    echo "no SBOM was made: cargo-sbom cannot be had here" >&2
    exit 3
fi
for program in "${programs[@]}"; do
    PATH="$tools/sbom/bin:$PATH" "$cargo" sbom --cargo-package "$program" --output-format cyclone_dx_json_1_6 >"$out/$program.cdx.json"
    # A file without components tells nothing.
    python3 -c 'import json, sys; sys.exit(not json.load(open(sys.argv[1]))["components"])' "$out/$program.cdx.json" ||
        { echo "$out/$program.cdx.json names no component" >&2; exit 1; }
    echo "$out/$program.cdx.json"
done
