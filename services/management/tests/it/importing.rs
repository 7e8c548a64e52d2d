//! `import` and `export` as operators run them: exit codes, and what they print.

use std::fs;
use std::path::Path;
use std::process::Output;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::database::number;
use crate::process::{run, text};
use crate::stack::Stack;

/// Three names, of which the last one is none that a user may have.
const USERS: &str = "username,active\nalice,true\nbob,false\nno name,true\n";

struct Site {
    stack: Stack,
    folder: tempfile::TempDir,
}

impl Site {
    /// Two nodes that nobody runs, and a folder for sources.
    async fn start() -> Self {
        let stack = Stack::start().await;
        for node in ["node-1", "node-2"] {
            stack.enrol(node).await;
        }
        Self {
            stack,
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn source(&self, name: &str, content: &str) -> String {
        fs::write(self.folder.path().join(name), content).expect("written");
        self.path(name)
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let url = self.stack.config.database.url.as_ref().expect("a URL");
        run(arguments, &[("DATABASE_URL", url.expose_secret())]).await
    }

    /// What it prints, if it ends with this code.
    async fn prints(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}{errors}");
        said.to_owned()
    }

    /// What it says on stderr, if it ends with this code.
    async fn complains(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}{errors}");
        errors.to_owned()
    }

    async fn users(&self) -> i64 {
        number(&self.stack.app.db, "SELECT count(*) FROM users").await
    }
}

#[tokio::test]
async fn a_trial_says_what_an_import_does_and_an_import_may_be_repeated() {
    let site = Site::start().await;
    let source = site.source("users.csv", USERS);

    let trial = site
        .prints(0, &["import", &source, "--node", "node-1", "--dry-run"])
        .await;

    let counts = "created 2, joined 0, changed 0, unchanged 0, conflict 0, skipped 1; 0 old certificates";
    assert!(trial.contains(counts), "{trial}");
    assert!(trial.ends_with("This was a trial: nothing was changed.\n"), "{trial}");
    assert!(trial.contains("  created   alice "), "{trial}");
    assert_eq!(site.users().await, 0);

    let done = site.prints(0, &["import", &source, "--node", "node-1"]).await;
    assert!(done.contains(counts) && !done.contains("trial"), "{done}");
    assert!(done.contains("  skipped   no name "), "{done}");
    assert_eq!(site.users().await, 2);

    let again = site.prints(0, &["import", &source, "--node", "node-1", "--json"]).await;
    let again: Value = serde_json::from_str(&again).expect("JSON");
    let report = &again["imports"][0];
    assert_eq!(
        (&report["counts"]["unchanged"], &report["id"], &again["failures"]),
        (&json!(2), &Value::Null, &json!([])),
        "{again}"
    );
}

#[tokio::test]
async fn conflicts_end_an_import_with_1_only_where_that_is_asked_for() {
    let site = Site::start().await;
    let source = site.source("twice.csv", "username\nalice\nalice\n");
    let import: [&str; 4] = ["import", &source, "--node", "node-1"];

    let told = site
        .complains(1, &[&import[..], &["--dry-run", "--fail-on-conflicts"]].concat())
        .await;
    assert!(told.contains("there are 1 conflicts"), "{told}");

    let done = site.prints(0, &import).await;
    assert!(done.contains("created 1, ") && done.contains("conflict 1, "), "{done}");
    assert!(done.contains("the source has this name twice"), "{done}");
    // What it did it did, whatever the exit code.
    let told = site.prints(1, &[&import[..], &["--fail-on-conflicts"]].concat()).await;
    assert!(told.contains("unchanged 1, conflict 1"), "{told}");
}

#[tokio::test]
async fn a_source_that_is_not_imported_ends_it_with_1_and_the_others_are_imported() {
    let site = Site::start().await;
    let users = site.source("users.csv", USERS);
    let broken = site.source("broken.db", "no database");
    let (good, bad) = (format!("node-2={users}"), format!("node-1={broken}"));
    let several: [&str; 5] = ["import", "--source", &bad, "--source", &good];

    let told = site.prints(1, &several).await;

    assert!(told.contains("  not imported: "), "{told}");
    assert!(told.contains("2 sources, 1 not imported: created 2, "), "{told}");
    assert_eq!(site.users().await, 2);
    let told = site.complains(1, &several).await;
    assert!(told.contains("1 sources were not imported"), "{told}");

    let json = site.prints(1, &[&several[..], &["--json"]].concat()).await;
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["failures"][0]["node"], "node-1", "{json}");
    assert_eq!(json["imports"][0]["node"], "node-2", "{json}");

    let unknown = site.prints(1, &["import", &users, "--node", "node-9"]).await;
    assert!(unknown.contains("there is no server node-9"), "{unknown}");
    let missing = site.path("missing");
    site.prints(1, &["import", &missing, "--node", "node-1"]).await;
}

#[tokio::test]
async fn mistakes_on_the_command_line_end_with_2_and_nothing_is_done() {
    let site = Site::start().await;
    let source = site.source("users.csv", USERS);
    let twice = format!("node-1={source}");
    let wrong: [&[&str]; 7] = [
        &["import"],
        &["import", &source],
        &["import", "--node", "node-1"],
        &["import", &source, "--node", "node-1", "--source", &twice],
        &["import", "--source", &source],
        &["import", &source, "--node", "node-1", "--same-name", "never"],
        &["export"],
    ];
    for arguments in wrong {
        site.complains(2, arguments).await;
    }
    assert_eq!(site.users().await, 0);
}

#[tokio::test]
async fn an_export_says_what_it_wrote_and_writes_into_no_folder_that_has_something() {
    let site = Site::start().await;
    let source = site.source("users.csv", USERS);
    site.prints(0, &["import", &source, "--node", "node-1"]).await;
    let folder = site.path("way-back");

    let told = site.prints(0, &["export", "--dir", &folder]).await;

    assert!(told.contains("users.csv: 2 users\n"), "{told}");
    let list = fs::read_to_string(Path::new(&folder).join("users.csv")).expect("a list");
    assert!(list.contains("\r\nbob,false,"), "{list}");
    let again = site.complains(1, &["export", "--dir", &folder]).await;
    assert!(again.contains("is not empty"), "{again}");
}
