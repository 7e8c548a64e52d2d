//! What would have cargo build the same third-party crate twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::process::Command;

use crate::workspace::Workspace;

/// Looks for features that depend on what is built: one selection and one feature set serve the programs, the tests and clippy.
pub(crate) fn find_splits(workspace: &Workspace) -> io::Result<Vec<String>> {
    let mut findings = partial_builds(&fs::read_to_string(workspace.root.join("Makefile"))?);
    let (programs, all) = (feature_sets("normal,build")?, feature_sets("normal,build,dev")?);
    findings.extend(changed_by_tests(&programs, &all));
    Ok(findings)
}

/// A build of single packages has the features that those need, and so its own copy of what lies below. This tool has no
/// dependencies, and what is shipped has a profile of its own.
fn partial_builds(makefile: &str) -> Vec<String> {
    let allowed = ["--package vpnmanager-lint", "--profile "];
    let lines = makefile.lines().enumerate();
    let partial =
        lines.filter(|(_, line)| line.contains("--package ") && !allowed.iter().any(|part| line.contains(part)));
    partial
        .map(|(number, line)| format!("Makefile:{}: build the whole workspace: {}", number + 1, line.trim()))
        .collect()
}

/// The feature sets of every package in the tree of the workspace.
fn feature_sets(edges: &str) -> io::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut cargo = Command::new("cargo");
    cargo.args([
        "tree",
        "--workspace",
        "--locked",
        "--prefix",
        "none",
        "--format",
        "{p}|{f}",
        "--edges",
        edges,
    ]);
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ));
    }
    Ok(parse_tree(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_tree(tree: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut sets = BTreeMap::<_, BTreeSet<_>>::new();
    for line in tree.lines() {
        // ` (*)` marks what was printed before.
        if let Some((package, features)) = line.trim_end_matches(" (*)").split_once('|') {
            sets.entry(package.to_owned()).or_default().insert(features.to_owned());
        }
    }
    sets
}

fn changed_by_tests(
    programs: &BTreeMap<String, BTreeSet<String>>,
    all: &BTreeMap<String, BTreeSet<String>>,
) -> Vec<String> {
    let changed = programs
        .iter()
        .filter(|(package, sets)| all.get(*package).is_some_and(|all| all != *sets));
    changed
        .map(|(package, _)| {
            format!("{package}: a dev-dependency switches on a feature that the programs do not have: give it to all: the root Cargo.toml, or a dependency of the testbed")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_of_tests_alone_is_told_and_a_crate_of_tests_alone_is_not() {
        let programs = parse_tree("a v1|std\nb v1|\na v1|std (*)\n");
        let all = parse_tree("a v1|std,test\nb v1|\ninsta v1|json\n");
        let found = changed_by_tests(&programs, &all);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("a v1: "));
        assert!(changed_by_tests(&programs, &programs).is_empty());
    }

    #[test]
    fn a_build_of_single_packages_is_told() {
        let makefile = "a:\n\tcargo build --workspace\n\tcargo build --package x\n\tcargo run --package vpnmanager-lint\n\tcargo build --profile release --package x\n";
        assert_eq!(
            partial_builds(makefile),
            ["Makefile:3: build the whole workspace: cargo build --package x"]
        );
    }
}
