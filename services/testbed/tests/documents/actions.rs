//! Audit actions.

use std::collections::BTreeSet;

use crate::{markdown, sources};

/// Every action that the code can record: the words of the enum.
fn recorded() -> BTreeSet<String> {
    let declared = sources::read("services/management/src/domain/audit_action.rs");
    let words = declared.lines().filter(|line| line.contains(" => \""));
    words.flat_map(literals).collect()
}

/// What an action begins with.
const SUBJECTS: [&str; 26] = [
    "access_",
    "api_",
    "wrong_",
    "user_",
    "users_",
    "old_",
    "device_",
    "profile_",
    "node_",
    "pool_",
    "rollout_",
    "group_",
    "bus_",
    "audit_",
    "authority_",
    "certificate_",
    "certificates_",
    "database_",
    "join_",
    "local_",
    "openvpn_",
    "allow_",
    "session_",
    "sessions_",
    "command_",
    "webhook_",
];

/// `subject_past_tense`.
fn is_action(text: &str) -> bool {
    let is_name = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_name && SUBJECTS.iter().any(|subject| text.starts_with(subject))
}

/// The string literals of Rust code that have no escapes, as far as lines show them.
fn literals(code: &str) -> Vec<String> {
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines
        .flat_map(|line| line.split('"').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// The actions with a row in the tables of the page.
fn documented(page: &str) -> BTreeSet<String> {
    let rows = markdown::rows_of(page, "action");
    rows.iter().map(|row| row[0].trim_matches('`').to_owned()).collect()
}

#[test]
fn the_page_lists_exactly_the_actions_that_the_code_records() {
    let recorded = recorded();
    assert!(recorded.len() > 25, "only {recorded:?} were found");
    assert!(recorded.iter().all(|word| is_action(word)), "{recorded:?}");
    assert_eq!(documented(&sources::read("docs/audit-actions.md")), recorded);
}

/// Actions that a document names in its code.
fn named(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    for code in markdown::code(document) {
        let filter = code.text.split("action=").skip(1);
        found.extend(
            filter
                .filter_map(|rest| rest.split(['&', '"', ' ']).next())
                .map(str::to_owned),
        );
        if is_action(&code.text) && code.text.ends_with("ed") {
            found.push(code.text);
        }
    }
    found
}

#[test]
fn every_action_in_the_manual_exists() {
    let recorded = recorded();
    for page in sources::manual() {
        for action in named(&page.text) {
            assert!(recorded.contains(&action), "{}: there is no action {action}", page.path);
        }
    }
}

#[test]
fn actions_are_found_where_they_are_named() {
    let document = "`user_vanished` and `user_key`\n```\nGET /api/audit?action=user_gone&x=1\n```\n| action | when |\n|---|---|\n| `node_eaten` | never |\n";
    assert_eq!(named(document), ["user_vanished", "user_gone"]);
    assert_eq!(documented(document), BTreeSet::from(["node_eaten".to_owned()]));
    assert_eq!(literals("x(\"a\"); // \"b\"\n  // \"c\"\ny(\"d\")"), ["a", "b", "d"]);
}
