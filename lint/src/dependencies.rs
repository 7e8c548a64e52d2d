//! Dependencies that nothing names.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use crate::tokens::{Kind, Token, tokenize, without_tests};
use crate::workspace::{Crate, Workspace};

/// Looks for a line in a dependency table that the code does not need.
pub(crate) fn find_unused(workspace: &Workspace) -> io::Result<Vec<String>> {
    let mut findings = Vec::new();
    for member in &workspace.crates {
        findings.extend(in_crate(member)?);
    }
    Ok(findings)
}

fn in_crate(member: &Crate) -> io::Result<Vec<String>> {
    let (mut code, mut all) = (BTreeSet::new(), BTreeSet::new());
    for (folder, is_code) in [("src", true), ("build.rs", true), ("tests", false), ("benches", false)] {
        for file in rust_files(&member.dir.join(folder))? {
            let tokens = tokenize(&fs::read_to_string(file)?);
            all.extend(named(&tokens));
            if is_code {
                code.extend(named(&without_tests(tokens)));
            }
        }
    }
    let unused = |dependencies: &[String], names: &BTreeSet<String>, table: &str| -> Vec<String> {
        let unused = dependencies
            .iter()
            .filter(|name| !names.contains(&name.replace('-', "_")) && !member.manifest.unnamed.contains(name));
        unused
            .map(|name| format!("{}/Cargo.toml: nothing names {name} of [{table}]", member.name))
            .collect()
    };
    let mut findings = unused(&member.manifest.dependencies, &code, "dependencies");
    findings.extend(unused(&member.manifest.dev_dependencies, &all, "dev-dependencies"));
    Ok(findings)
}

/// The words that may name a crate: before `::`, in an import, in an attribute's text (`with = "humantime_serde"`).
fn named(tokens: &[Token]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_path = tokens.get(at + 1).is_some_and(Token::is_separator);
        let is_import = at > 0 && tokens[at - 1].word() == Some("use");
        match &token.kind {
            Kind::Word(word) if is_path || is_import => drop(names.insert(word.clone())),
            Kind::Text(text) => drop(names.insert(text.split("::").next().unwrap_or_default().to_owned())),
            Kind::Word(_) | Kind::Separator | Kind::Sign(_) => {}
        }
    }
    names
}

fn rust_files(path: &Path) -> io::Result<Vec<std::path::PathBuf>> {
    if !path.is_dir() {
        return Ok(if path.exists() {
            vec![path.to_path_buf()]
        } else {
            Vec::new()
        });
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_imports_and_attributes_name_a_crate_and_other_words_do_not() {
        let tokens = tokenize("use a; use b::c; #[serde(with = \"d::e\")] fn f() { g::h(i) } // j::k");
        let names = named(&tokens);
        for name in ["a", "b", "d", "g"] {
            assert!(names.contains(name), "{name}");
        }
        for word in ["f", "h", "i", "j"] {
            assert!(!names.contains(word), "{word}");
        }
    }
}
