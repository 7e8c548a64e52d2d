//! Links between documents.

use std::path::Path;

use crate::{markdown, sources};

/// Every relative link that leads nowhere, as `page: target`.
fn broken(page: &sources::Page) -> Vec<String> {
    let folder = Path::new(&page.path).parent().unwrap_or(Path::new(""));
    let leads_somewhere = |target: &String| {
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let file = sources::root().join(folder).join(path);
        let text = if path.is_empty() {
            Some(page.text.clone())
        } else {
            std::fs::read_to_string(&file).ok()
        };
        let has_anchor = |text: String| markdown::anchors(&text).iter().any(|found| found == anchor);
        file.exists() && (anchor.is_empty() || text.is_some_and(has_anchor))
    };
    let links = markdown::links(&page.text).into_iter();
    let relative = links.filter(|target| !target.contains("://") && !target.contains("::"));
    relative
        .filter(|target| !leads_somewhere(target))
        .map(|target| format!("{}: {target}", page.path))
        .collect()
}

#[test]
fn every_relative_link_and_anchor_resolves() {
    let broken: Vec<String> = sources::all_documents().iter().flat_map(broken).collect();
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let page = sources::Page {
        path: "docs/planted.md".to_owned(),
        text: "# Here\n[a](operating.md#users) [b](#here) [c](gone.md) [d](operating.md#gone) [e](#gone) [f](../README.md)\n\
               [g](https://example.org/gone)"
            .to_owned(),
    };
    let found = broken(&page);
    assert_eq!(
        found,
        [
            "docs/planted.md: gone.md",
            "docs/planted.md: operating.md#gone",
            "docs/planted.md: #gone"
        ]
    );
}
