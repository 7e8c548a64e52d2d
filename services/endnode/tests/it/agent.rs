//! The agent as a process: the real binary with its own state folder and no VPN server.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use reqwest::{Method, StatusCode};
use rusqlite::OptionalExtension as _;
use serde::de::DeserializeOwned;
use serde_json::Value;
use vpnmanager_testbed::{
    ports,
    process::{Process, Spec},
    wait,
};

use crate::fake_management::DEADLINE;

pub(crate) const KEY: &str = "b6f1d07c93ae4825706c5e1f8d2a9b34";

pub(crate) struct Agent {
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
    port: u16,
    management_url: String,
    secret: (&'static str, String),
    /// Settings besides those of every test.
    pub(crate) env: Vec<(&'static str, String)>,
    process: Option<Process>,
    _folder: tempfile::TempDir,
}

impl Agent {
    /// A node that has not started yet.
    pub(crate) fn new(id: &str, management_url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            id: id.to_owned(),
            dir: folder.path().join("state"),
            port: ports::free().unwrap(),
            management_url: management_url.to_owned(),
            secret: ("JOIN_TOKEN", "join-token-of-the-test".to_owned()),
            env: Vec::new(),
            process: None,
            _folder: folder,
        }
    }

    /// Starts it, and returns what its `/health` says first.
    pub(crate) async fn start(&mut self) -> Value {
        let log = self.log_file();
        let spec = Spec::new(
            "endnode",
            env!("CARGO_BIN_EXE_vpnmanager-endnode"),
            self.dir.parent().unwrap(),
            log,
        )
        .env("SERVER_ID", &self.id)
        .env("MANAGEMENT_URL", &self.management_url)
        .env("STATE_DIR", &self.dir)
        .env("LISTEN", format!("127.0.0.1:{}", self.port))
        .env("API_KEY", KEY)
        .env("OPENVPN_MODE", "none")
        .env("HEARTBEAT_INTERVAL", "200ms")
        .env("LOG_LEVEL", "info,vpnmanager_endnode=debug")
        .env(self.secret.0, &self.secret.1);
        let spec = self.env.iter().fold(spec, |spec, (name, value)| spec.env(name, value));
        let has_enrolled = self.dir.join("identity.json").exists();
        let process = Process::spawn(&spec).unwrap();
        let first = wait::until_some(DEADLINE, "the local API", || self.get("/health"))
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        assert!(!has_enrolled || first["status"] != "enrolling", "{first}");
        self.process = Some(process);
        first
    }

    /// What its journal keeps under this key of what management told, if it keeps anything.
    pub(crate) fn journaled<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let journal = rusqlite::Connection::open(self.dir.join("journal.db")).unwrap();
        let select = "SELECT value FROM meta WHERE key = ?1";
        let text: Option<String> = journal.query_row(select, [key], |row| row.get(0)).optional().unwrap();
        text.map(|text| serde_json::from_str(&text).unwrap())
    }

    pub(crate) async fn kill(&mut self) {
        self.process.take().unwrap().kill().await;
    }

    /// The agent must not run.
    pub(crate) fn lose_journal(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let file = self.dir.join(format!("journal.db{suffix}"));
            if file.exists() {
                std::fs::remove_file(file).unwrap();
            }
        }
    }

    pub(crate) async fn stop(&mut self) -> Duration {
        let started = std::time::Instant::now();
        self.process.take().unwrap().stop(DEADLINE).await;
        started.elapsed()
    }

    pub(crate) async fn in_sync(&self) {
        let synced = || async {
            self.get("/health")
                .await
                .is_some_and(|health| health["in_sync"] == true)
        };
        wait::until(DEADLINE, "the node to be in sync", synced)
            .await
            .unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
    }

    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        let (status, body) = self.call(Method::GET, path, None).await?;
        (status == StatusCode::OK).then_some(body)
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Option<(StatusCode, Value)> {
        let url = format!("{}{path}", self.base_url());
        let mut request = reqwest::Client::new().request(method, url).header("X-API-Key", KEY);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.ok()?;
        let status = response.status();
        Some((status, response.json().await.unwrap_or_default()))
    }

    pub(crate) fn base_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What `doctor` says of this node, with these settings instead of its own and these flags. It does not ask management, unless it is told
    /// where that is.
    pub(crate) async fn examine(&self, settings: &[(&str, &str)], flags: &[&str]) -> (Option<i32>, Value) {
        let mut doctor = tokio::process::Command::new(env!("CARGO_BIN_EXE_vpnmanager-endnode"));
        doctor.args(["doctor", "-o", "json"]).args(flags).env_clear();
        doctor.current_dir(self.dir.parent().unwrap());
        doctor
            .env("SERVER_ID", &self.id)
            .env("STATE_DIR", &self.dir)
            .env("LISTEN", format!("127.0.0.1:{}", self.port))
            .env("API_KEY", KEY)
            .env("OPENVPN_MODE", "none")
            .envs(settings.iter().copied());
        let output = tokio::time::timeout(DEADLINE, doctor.kill_on_drop(true).output()).await;
        let output = output.unwrap().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let report = serde_json::from_str(&said);
        let report =
            report.unwrap_or_else(|error| panic!("{error}: {said}{}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code(), report)
    }

    /// Common names that are let in.
    pub(crate) fn allowed(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.dir.join("allow")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.dir.parent().unwrap().join("agent.log")
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            process.signal(rustix::process::Signal::KILL);
        }
    }
}

/// Runs the binary to its end.
pub(crate) fn run(args: &[&str], dir: &Path) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_vpnmanager-endnode"))
        .args(args)
        .env_clear()
        .current_dir(dir)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}
