//! Files of one crate that import each other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::graph::{Graph, circles, shortest_way_round};
use crate::modules::{File, Modules};
use crate::workspace::Workspace;

/// Looks through every target of every crate.
pub(crate) fn find(workspace: &Workspace) -> io::Result<Vec<String>> {
    let mut findings = Vec::new();
    for member in &workspace.crates {
        for root in roots(&member.dir)? {
            findings.extend(in_target(&Modules::read(&root)?));
        }
    }
    Ok(findings)
}

/// `src/lib.rs`, `src/main.rs`, `tests/*.rs` and `tests/*/main.rs`.
fn roots(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut roots: Vec<PathBuf> = ["src/lib.rs", "src/main.rs"]
        .iter()
        .map(|root| dir.join(root))
        .collect();
    if dir.join("tests").exists() {
        for entry in fs::read_dir(dir.join("tests"))? {
            let path = entry?.path();
            roots.push(if path.is_dir() { path.join("main.rs") } else { path });
        }
    }
    roots.retain(|root| root.exists());
    roots.sort();
    Ok(roots)
}

/// Why one file needs another: the line and the path that stands there.
type Reasons = BTreeMap<(usize, usize), (usize, String)>;

fn in_target(modules: &Modules) -> Vec<String> {
    let mut reasons = Reasons::new();
    for (number, file) in modules.files.iter().enumerate() {
        for (line, path, from) in uses(file) {
            if let Some(target) = modules.file_of(path, &from).filter(|target| *target != number) {
                reasons
                    .entry((number, target))
                    .or_insert_with(|| (line, path.join("::")));
            }
        }
    }
    let mut graph = Graph::new();
    for (from, to) in reasons.keys() {
        graph.entry(*from).or_default().insert(*to);
    }
    let found = circles(&graph);
    found
        .iter()
        .map(|circle| {
            let mut text = format!("{} files import each other, for example:", circle.len());
            for step in shortest_way_round(&graph, circle).windows(2) {
                let (from, to) = (step[0], step[1]);
                let (line, path) = &reasons[&(from, to)];
                let (from, to) = (modules.files[from].path.display(), modules.files[to].path.display());
                text.push_str(&format!("\n    {from}:{line} uses {to} ({path})"));
            }
            if circle.len() > 2 {
                text.push_str("\n    all of them:");
                for file in circle {
                    text.push_str(&format!(" {}", modules.files[*file].path.display()));
                }
            }
            text
        })
        .collect()
}

/// The paths that count as uses, each with its line and the module that it is seen from.
fn uses(file: &File) -> impl Iterator<Item = (usize, &[String], Vec<String>)> {
    let from = |scope: &[String]| [&file.module, scope].concat();
    let imports = file.source.imports.iter().filter(|import| {
        // A re-export is no use, unless the file needs the name itself.
        !import.public
            || import
                .name
                .as_ref()
                .is_some_and(|name| file.source.words.contains(name))
    });
    let imports = imports.map(move |import| (import.line, import.path.as_slice(), from(&import.scope)));
    let mentions = file.source.mentions.iter();
    imports.chain(mentions.map(move |mention| (mention.line, mention.path.as_slice(), from(&mention.scope))))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a crate made of these files.
    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let dir = std::env::temp_dir().join(format!("vpnmanager-lint-{}-{}", std::process::id(), line_of(files)));
        for (path, text) in files {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = in_target(&Modules::read(&dir.join("lib.rs")).unwrap());
        fs::remove_dir_all(&dir).unwrap();
        found
            .iter()
            .map(|text| text.replace(&format!("{}/", dir.display()), ""))
            .collect()
    }

    /// A name for the folder of each test.
    fn line_of(files: &[(&str, &str)]) -> usize {
        files.iter().map(|(_, text)| text.len()).sum()
    }

    #[test]
    fn two_files_that_import_each_other_are_found_with_line_and_path() {
        let found = check(&[
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use crate::b::B;\npub struct A;"),
            ("b.rs", "pub struct B;\n\nfn f() -> super::a::A { super::a::A }"),
        ]);
        let wanted = "2 files import each other, for example:\n    a.rs:1 uses b.rs (crate::b::B)\n    b.rs:3 uses a.rs (super::a::A)";
        assert_eq!(found, [wanted]);
    }

    #[test]
    fn a_circle_through_re_exports_and_an_alias_is_found() {
        let found = check(&[
            ("lib.rs", "mod a; mod n;"),
            (
                "a.rs",
                "pub(crate) use crate::n as noun;\npub struct A; fn f() { noun::go() }",
            ),
            ("n/mod.rs", "mod go;\npub(crate) use go::go;\n"),
            ("n/go.rs", "use crate::a::*;\npub(crate) fn go() {}"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("n/go.rs:1 uses a.rs (crate::a::*)")
                || found[0].contains("n/go.rs:1 uses a.rs (crate::a)")
        );
    }

    #[test]
    fn a_parent_that_uses_a_child_which_uses_the_parent_is_a_circle() {
        let parent = "mod child; pub(crate) use child::Child; pub struct Parent(Child);";
        let found = check(&[
            ("lib.rs", "mod parent;"),
            ("parent.rs", parent),
            ("parent/child.rs", "use super::Parent; pub struct Child;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn declarations_re_exports_and_tests_are_no_uses() {
        let found = check(&[
            ("lib.rs", "mod parent; mod other; pub use other::Other;"),
            (
                "parent.rs",
                "mod child; pub use child::Child; use std::fmt; pub struct Parent;",
            ),
            (
                "parent/child.rs",
                "use super::{Parent, fmt::Debug}; use crate::Other; pub struct Child;",
            ),
            (
                "other.rs",
                "pub struct Other; #[cfg(test)] mod tests { use crate::parent::Child; }",
            ),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
