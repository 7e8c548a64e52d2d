//! The files of the workspace.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder of the workspace.
pub(crate) fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace's folder")
}

/// A file of the workspace.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// The files with this extension below a folder, as paths from the workspace, in order.
pub(crate) fn files_below(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let path = path.strip_prefix(root()).expect("below the workspace");
                found.push(path.to_str().expect("UTF-8").to_owned());
            }
        }
    }
    found.sort();
    found
}

/// A document: its path from the workspace, and its text.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// What a person reads first: every name in its code is checked.
pub(crate) fn manual() -> Vec<Page> {
    let mut paths = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    paths.extend(files_below("docs", "md"));
    pages(paths)
}

/// The manual, and the other documents whose links must resolve.
pub(crate) fn all_documents() -> Vec<Page> {
    let mut paths = vec!["ARCHITECTURE.md".to_owned(), "CHANGELOG.md".to_owned()];
    for folder in ["nats", "entities", "migration", "openapi"] {
        paths.push(format!("{folder}/README.md"));
    }
    for service in ["runtime", "management", "endnode", "cli", "testbed"] {
        paths.push(format!("services/{service}/README.md"));
    }
    let mut documents = manual();
    documents.extend(pages(paths));
    documents
}

fn pages(paths: Vec<String>) -> Vec<Page> {
    let page = |path: String| Page {
        text: read(&path),
        path,
    };
    paths.into_iter().map(page).collect()
}
