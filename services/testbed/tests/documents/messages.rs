//! Log lines and errors that the troubleshooting page quotes.

use crate::{markdown, sources};

/// The quoted texts of the page's first column, in pieces: `...` stands for a part that varies.
fn quoted(page: &str) -> Vec<String> {
    let rows = markdown::rows_of(page, "you see");
    let texts = rows.iter().flat_map(|row| row[0].split('"').skip(1).step_by(2));
    texts
        .flat_map(|text| text.split("..."))
        .map(|piece| piece.trim().to_owned())
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// The code of the programs, with string literals that a backslash continues on the next line in one piece.
fn programs() -> String {
    let folders = [
        "services/management/src",
        "services/endnode/src",
        "services/runtime/src",
        "openapi/src",
        "nats/src",
    ];
    let files = folders.iter().flat_map(|folder| sources::files_below(folder, "rs"));
    joined(&files.map(|path| sources::read(&path)).collect::<String>())
}

fn joined(code: &str) -> String {
    let mut parts = code.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |joined, part| joined + part.trim_start())
}

#[test]
fn every_message_that_the_troubleshooting_page_quotes_exists() {
    let programs = programs();
    let mut quoted = quoted(&sources::read("docs/troubleshooting.md"));
    assert!(quoted.len() > 10, "only {quoted:?} were found");
    quoted.retain(|text| !programs.contains(text));
    assert_eq!(quoted, Vec::<String>::new());
}

#[test]
fn messages_are_found_where_they_are_quoted() {
    let page = "| you see | do |\n|---|---|\n| log \"a ... is old\", then \"b\" | say \"c\" |\n";
    assert_eq!(quoted(page), ["a", "is old", "b"]);
    assert_eq!(joined("\"one \\\n    two\""), "\"one two\"");
}
