#!/usr/bin/env bash
# Builds all programs for a release into target/release-files, with SHA256SUMS, the licences of what is in them, and SBOMs. Nothing of this
# machine is in the programs: names of folders are replaced, and the time is that of the commit.
#
#   deploy/release.sh            builds them
#   deploy/release.sh --check    builds the same commit once more in another folder, and fails if a single byte differs
#
# docs/release.md has the steps around it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
cargo=${CARGO:-cargo}
target=$(realpath --no-symlinks "${CARGO_TARGET_DIR:-target}")
out="$target/release-files"
programs=(vpnmanager-management vpnmanager-endnode vpnmanager)
check=
case "${1:-}" in
"") ;;
--check) check=yes ;;
*) echo "usage: deploy/release.sh [--check]" >&2; exit 2 ;;
esac

if [ -n "$(git status --porcelain)" ]; then
    echo "there are changes that are not committed: a release is built from a commit" >&2
    exit 1
fi
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

# build SOURCE FOLDER: all programs from the work tree SOURCE are in FOLDER/release afterwards.
build() (
    cd "$1"
    local place rust=() c=()
    # Of several that fit, rustc takes the last, and so does gcc: the folder of the build may be inside the work tree.
    for place in "${CARGO_HOME:-$HOME/.cargo}=/cargo" "$1=/vpnmanager" "$2=/build"; do
        rust+=("--remap-path-prefix=$place")
        c+=("-ffile-prefix-map=$place")
    done
    # Flags in a form that lets paths have blanks.
    CARGO_ENCODED_RUSTFLAGS=$(IFS=$'\x1f'; echo "${rust[*]}")
    export CARGO_ENCODED_RUSTFLAGS CFLAGS="${c[*]}"
    export CARGO_TARGET_DIR=$2 CARGO_INCREMENTAL=0 LC_ALL=C TZ=UTC
    "$cargo" build --locked --release --package vpnmanager-management --package vpnmanager-endnode --package vpnmanager-cli --bins
)

build "$root" "$target/release-build"
rm -rf "$out"
mkdir -p "$out"
for program in "${programs[@]}"; do
    cp "$target/release-build/release/$program" "$out/"
    # What would make two builds differ, and tells strangers of this machine.
    if grep -qaF "$root/" "$out/$program"; then
        echo "$program names the folder $root" >&2
        exit 1
    fi
done

if [ -n "$check" ]; then
    again="$target/release-again"
    trap 'git worktree remove --force "$again/source" 2>/dev/null || true' EXIT
    rm -rf "$again"
    git worktree prune
    git worktree add --quiet --detach "$again/source" HEAD
    build "$again/source" "$again/build"
    for program in "${programs[@]}"; do
        cmp "$out/$program" "$again/build/release/$program"
        echo "$program: both builds are the same"
    done
    rm -rf "$again/build"
fi

deploy/bill_of_materials.sh "$out"
(cd "$out" && sha256sum -- * >../SHA256SUMS && mv ../SHA256SUMS .)
echo "vpnmanager $("$out/vpnmanager-management" --version | cut -d' ' -f2), $(git rev-parse HEAD): ${out#"$root/"}"
cat "$out/SHA256SUMS"
