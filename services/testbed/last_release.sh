#!/usr/bin/env bash
# Builds both programs of the last release into target/last-release/bin, for the tests of upgrades: from the commit that deploy/last-release
# names, in a work tree of its own. Run by `make test-upgrade`.
#
# Where the history is not there (an archive, a shallow clone) it says that the tests are skipped, and succeeds; with
# VPNMANAGER_REQUIRE_LAST_RELEASE=1 it fails.
set -euo pipefail
cd "$(dirname "$0")/../.."

commit=$(<deploy/last-release)
folder="$(realpath --no-symlinks "${CARGO_TARGET_DIR:-target}")/last-release"
source="$folder/source"

without() {
    # What was built of another release before must not pass for this one.
    rm -rf "$folder/bin"
    if [ "${VPNMANAGER_REQUIRE_LAST_RELEASE:-}" = 1 ]; then
        echo "== tests of upgrades: required here and impossible ($1)" >&2
        exit 1
    fi
    echo "== tests of upgrades: SKIPPED ($1)"
    exit 0
}

[[ "$commit" =~ ^[0-9a-f]{40}$ ]] || { echo "deploy/last-release names no commit: $commit" >&2; exit 1; }
if [ -e "$folder/bin/commit" ] && [ "$(<"$folder/bin/commit")" = "$commit" ]; then
    echo "Using: the last release, ${commit:0:8}, in ${folder#"$PWD/"}/bin"
    exit 0
fi
command -v git >/dev/null || without "git is missing"
git rev-parse --git-dir >/dev/null 2>&1 || without "this is no clone of the project"
git cat-file -e "$commit^{commit}" 2>/dev/null || without "this clone lacks the commit $commit of the last release: git fetch --unshallow"

echo "Building the last release, ${commit:0:8} (the first time takes 3 to 5 minutes) ..."
rm -rf "$folder/bin"
mkdir -p "$folder"
if [ ! -e "$source/.git" ] || ! git -C "$source" checkout --quiet --detach --force "$commit" 2>/dev/null; then
    # Of a folder that was deleted by hand git still knows a work tree.
    rm -rf "$source"
    git worktree prune
    git worktree add --quiet --detach --force "$source" "$commit"
fi
(
    cd "$source"
    # Its own folder: both builds have programs of the same names.
    CARGO_TARGET_DIR="$folder/build" "${CARGO:-cargo}" build --locked --package vpnmanager-management --package vpnmanager-endnode --bins
)
mkdir "$folder/bin"
for service in management endnode; do cp "$folder/build/debug/vpnmanager-$service" "$folder/bin/"; done
# Written last: what was not built to the end has none.
echo "$commit" >"$folder/bin/commit"
echo "Using: the last release, $("$folder/bin/vpnmanager-endnode" --version | cut -d' ' -f2), ${commit:0:8}"
