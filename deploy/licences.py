"""The licences of all crates that programs of this workspace are made of, as text.

Reads what `cargo metadata` says from standard input; the arguments name the packages of the programs. Crates that only tests or build scripts need
are left out. Equal texts are written once.
"""

import json
import pathlib
import sys

NAMES = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def reached(metadata, programs):
    """The ids of the packages of these programs and of all that they are made of."""
    ids = {package["name"]: package["id"] for package in metadata["packages"] if package["source"] is None}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    left, found = [ids[program] for program in programs], set()
    while left:
        package = left.pop()
        if package not in found:
            found.add(package)
            # The kind of a dependency that is in the program itself is null.
            left += [of["pkg"] for of in nodes[package]["deps"] if any(kind["kind"] is None for kind in of["dep_kinds"])]
    return found


def texts(package):
    """The texts in the folder of a package that say how it may be used."""
    folder = pathlib.Path(package["manifest_path"]).parent
    named = {folder / package["license_file"]} if package["license_file"] else set()
    named |= {file for file in folder.iterdir() if file.name.upper().startswith(NAMES)}
    return [file.read_text(encoding="utf-8", errors="replace").strip() for file in sorted(named) if file.is_file()]


def main():
    metadata = json.load(sys.stdin)
    inside = reached(metadata, sys.argv[1:])
    # Our own licence is that of the project.
    packages = [package for package in metadata["packages"] if package["id"] in inside and package["source"]]
    packages.sort(key=lambda package: (package["name"], package["version"]))
    if not packages:
        sys.exit("no crate of others was found: is this the output of `cargo metadata`?")
    print(f"{' and '.join(sys.argv[1:])} are made of these crates of others:\n")
    by_text, without = {}, []
    for package in packages:
        name = f"{package['name']} {package['version']}"
        print(f"  {name:<44} {package['license'] or 'see its text'}")
        found = texts(package)
        for text in found:
            by_text.setdefault(text, []).append(name)
        if not found:
            without.append(name)
    if without:
        print(f"\nThese came without a text; what is named above holds: {', '.join(without)}")
    for text, names in by_text.items():
        print(f"\n{'=' * 80}\n{', '.join(names)}\n{'-' * 80}\n\n{text}")


if __name__ == "__main__":
    main()
