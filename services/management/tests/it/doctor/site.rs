//! A management that is well, and its doctor with changed settings.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    database::fresh_database,
    process::{run, text},
    stack::{ADMIN_KEY, Stack},
};

/// A running management, and where it listens.
pub(super) struct Site {
    pub(super) stack: Stack,
    pub(super) database: String,
    pub(super) listen: String,
    nats: String,
}

/// What the doctor said.
pub(super) struct Examined {
    pub(super) code: Option<i32>,
    pub(super) report: Value,
}

impl Site {
    pub(super) async fn start() -> Self {
        let database = fresh_database().await;
        let stack = Box::pin(Stack::start_on(&database, &[])).await;
        let listen = stack.serve().await.to_string();
        Self {
            nats: stack.nats.tls_url(),
            stack,
            database,
            listen,
        }
    }

    /// The settings of this management, and these instead of its own.
    pub(super) fn settings<'a>(&'a self, changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let config = &self.stack.config;
        let own = [
            ("SERVER_ID", "management-test"),
            ("API_KEY", ADMIN_KEY),
            ("LISTEN", &self.listen),
            ("DATABASE_URL", &self.database),
            ("NATS_URL", &self.nats),
            ("BUS_DIR", path(&config.bus.dir)),
            ("PKI_DIR", path(&config.pki.dir)),
        ];
        [&own, changed].concat()
    }

    /// Examines it.
    pub(super) async fn examine(&self, changed: &[(&str, &str)]) -> Examined {
        let output = run(&["doctor", "-o", "json"], &self.settings(changed)).await;
        let said = text(&output.stdout);
        let report = serde_json::from_str(said);
        Examined {
            code: output.status.code(),
            report: report.unwrap_or_else(|error| panic!("{error}: {said}{}", text(&output.stderr))),
        }
    }
}

impl Examined {
    /// All findings.
    pub(super) fn checks(&self) -> impl Iterator<Item = &Value> {
        self.report["checks"].as_array().into_iter().flatten()
    }

    /// The ids of those that ended so, each once.
    pub(super) fn ids(&self, outcome: &str) -> Vec<&str> {
        let ended = self.checks().filter(|check| check["outcome"] == outcome);
        let mut ids: Vec<&str> = ended.filter_map(|check| check["id"].as_str()).collect();
        ids.dedup();
        ids
    }

    /// This check fails and no other, and with it the command. It tells what was found, why, and what mends it.
    #[track_caller]
    pub(super) fn fails_alone(&self, id: &str) -> &Value {
        self.fail_alone(&[id])
    }

    /// The same of checks that cannot be told apart. Gives the first.
    #[track_caller]
    pub(super) fn fail_alone(&self, ids: &[&str]) -> &Value {
        assert_eq!(self.ids("failed"), ids, "{:#}", self.report);
        assert_eq!((self.code, &self.report["outcome"]), (Some(1), &Value::from("failed")));
        let failed = self
            .checks()
            .find(|check| check["outcome"] == "failed")
            .expect("one failed");
        for member in ["found", "why", "mend"] {
            let said = failed[member].as_str().unwrap_or_default();
            assert!(!said.is_empty(), "{member}: {failed:#}");
        }
        failed
    }

    /// These checks were skipped, and say because of which one.
    #[track_caller]
    pub(super) fn skips(&self, ids: &[&str], because_of: &str) {
        for id in ids {
            let check = self.checks().find(|check| check["id"] == *id).expect("a finding");
            assert_eq!(check["outcome"], "skipped", "{check:#}");
            let why = check["why"].as_str().unwrap_or_default();
            assert!(why.contains(because_of), "{check:#}");
        }
    }
}

pub(super) fn path(path: &Path) -> &str {
    path.to_str().expect("a path of characters")
}

/// A folder with the files of another one, for changing some.
pub(super) fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a folder");
    for entry in fs::read_dir(folder).expect("a folder") {
        let file: PathBuf = entry.expect("an entry").path();
        if file.is_file() {
            let name = file.file_name().expect("a name");
            fs::copy(&file, copy.path().join(name)).expect("copied");
        }
    }
    copy
}
