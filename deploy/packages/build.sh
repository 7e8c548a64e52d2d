#!/usr/bin/env bash
# Packs both programs as they were built optimised: vpnmanager-management and vpnmanager-endnode. `make deb` builds them first. What is packed is
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
for service in management endnode; do
    "$target/release/vpnmanager-$service" manual --out "$built/$service"
    "$target/tools/cargo-deb/bin/cargo-deb" --no-build --quiet --locked --manifest-path "services/$service/Cargo.toml" \
        --deb-revision "$revision" --output "$out/"
done
rm -rf "$built"
