#!/usr/bin/env bash
# Packs all programs as they were built optimised: vpnmanager-management, vpnmanager-endnode and vpnmanager. `make deb` builds them first. What is packed is
# in [package.metadata.deb] of their Cargo.toml.
#
#   deploy/packages/build.sh TARGET OUT [REVISION]      TARGET: cargo's target folder; OUT: where the packages go; REVISION: 1
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
revision=${3:-1}
built=deploy/packages/built

rm -rf "$built"
# The folder of a crate, and its program.
for pair in management:vpnmanager-management endnode:vpnmanager-endnode cli:vpnmanager; do
    crate=${pair%:*} program=${pair#*:}
    "$target/release/$program" manual --out "$built/$crate"
    "$target/tools/cargo-deb/bin/cargo-deb" --no-build --quiet --locked --manifest-path "services/$crate/Cargo.toml" \
        --deb-revision "$revision" --output "$out/"
done
rm -rf "$built"
