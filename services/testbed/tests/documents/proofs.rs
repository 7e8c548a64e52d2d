//! The tests that ARCHITECTURE.md names as proof (`module::name`, `module::prefix_*`, `module::*`), and the source files that
//! documents name.

use crate::{markdown, sources};

/// What the workspace's code has: its files, and their texts in one.
struct Code {
    files: Vec<String>,
    text: String,
}

impl Code {
    fn read() -> Self {
        let folders = ["nats", "entities", "migration", "openapi", "services"];
        let files: Vec<String> = folders
            .iter()
            .flat_map(|folder| sources::files_below(folder, "rs"))
            .collect();
        let text = files.iter().map(|path| sources::read(path)).collect();
        Self { files, text }
    }

    fn has(&self, proof: &str) -> bool {
        let Some((modules, name)) = proof.rsplit_once("::") else {
            return false;
        };
        match name.strip_suffix('*') {
            Some("") => self.has_module(modules.rsplit("::").next().unwrap_or(modules)),
            Some(prefix) => self.text.contains(&format!("fn {prefix}")),
            None => self.text.contains(&format!("fn {name}(")),
        }
    }

    fn has_module(&self, name: &str) -> bool {
        let (file, folder) = (format!("/{name}.rs"), format!("/{name}/"));
        self.files
            .iter()
            .any(|path| path.ends_with(&file) || path.contains(&folder))
    }
}

/// The proofs in a document's code.
fn proofs(document: &str) -> Vec<String> {
    let is_path = |text: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | ':' | '*');
        text.contains("::") && text.chars().all(plain)
    };
    let code = markdown::code(document).into_iter().map(|code| code.text);
    code.filter(|text| is_path(text)).collect()
}

/// The source files in a document's code: `api/users/create.rs`.
fn source_files(document: &str) -> Vec<String> {
    let is_file = |text: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '/' | '.' | '-');
        text.ends_with(".rs") && !text.starts_with('.') && text.chars().all(plain)
    };
    let code = markdown::code(document).into_iter().map(|code| code.text);
    code.filter(|text| is_file(text)).collect()
}

#[test]
fn every_source_file_that_a_document_names_exists() {
    let code = Code::read();
    let exists = |file: &String| {
        let end = format!("/{file}");
        code.files.iter().any(|path| path == file || path.ends_with(&end))
    };
    for page in sources::all_documents() {
        let mut named = source_files(&page.text);
        named.retain(|file| !exists(file));
        assert_eq!(named, Vec::<String>::new(), "{}", page.path);
    }
}

#[test]
fn source_files_are_found_where_they_are_named() {
    let document = "`ops/create_user.rs` and `migration/src/m<date>.rs`, `.rs`, `a.sql`, x.rs\n";
    assert_eq!(source_files(document), ["ops/create_user.rs"]);
}

#[test]
fn every_test_that_the_architecture_names_exists() {
    let code = Code::read();
    let mut named = proofs(&sources::read("ARCHITECTURE.md"));
    assert!(named.len() > 30, "only {named:?} were found");
    named.retain(|proof| !code.has(proof));
    assert_eq!(named, Vec::<String>::new());
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    let code = Code {
        files: vec!["a/tests/it/lost.rs".to_owned(), "a/tests/it/fleet/mod.rs".to_owned()],
        text: "async fn nothing_is_lost() {}".to_owned(),
    };
    let document = "Shown by `lost::nothing_is_lost`, `lost::nothing_*`, `fleet::lost::*`, `fleet::*`; not `lost::gone`, `x::*`, `a::B`, `x`.";
    let found: Vec<(String, bool)> = proofs(document)
        .into_iter()
        .map(|proof| (proof.clone(), code.has(&proof)))
        .collect();
    let missing: Vec<&str> = found
        .iter()
        .filter(|(_, has)| !has)
        .map(|(proof, _)| proof.as_str())
        .collect();
    assert_eq!(missing, ["lost::gone", "x::*"]);
    assert_eq!(found.len(), 6);
}
