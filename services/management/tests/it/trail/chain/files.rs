//! Exports, and the command that verifies them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use poem::http::StatusCode;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use super::{entry_at, run, sign, tamper, text};
use crate::stack::{Stack, WithKey as _, get, json_of, post, problem_of};

/// A stack with ten entries, management's signature, and a folder for files.
struct Scene {
    stack: Stack,
    folder: TempDir,
}

impl Scene {
    async fn make() -> Self {
        let stack = Stack::start().await;
        for _ in 0..10 {
            entry_at(&stack.app.db, "now()", "user_created").await;
        }
        sign(&stack).await;
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("ca.pem"), stack.app.pki.ca_pem()).expect("written");
        Self { stack, folder }
    }

    async fn export(&self, path: &str) -> String {
        let answer = self.stack.client().get(path).admin().send().await;
        answer.assert_status_is_ok();
        answer.0.into_body().into_string().await.expect("a text")
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    /// Runs the command on a file, without a database. Gives its exit code and what it said.
    async fn verify(&self, file: &Path, more: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_vpnmanager-management"))
            .args(["audit-verify", "--file"])
            .arg(file)
            .arg("--ca")
            .arg(self.folder.path().join("ca.pem"))
            .args(more)
            .env_clear()
            .current_dir("/")
            .output();
        let output = output.await.expect("runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("UTF-8"))
    }
}

#[tokio::test]
async fn an_export_is_verified_without_the_database_and_every_change_of_it_is_found() {
    let scene = Scene::make().await;
    let whole = scene.export("/api/audit.jsonl").await;
    let lines: Vec<&str> = whole.lines().collect();
    assert!(lines.len() > 10 && whole.ends_with('\n'), "{whole}");
    let (code, said) = scene.verify(&scene.file("whole", &whole), &[]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("Nothing was changed, removed, inserted or reordered."),
        "{said}"
    );

    let id = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["id"].to_string();
    let without = |left_out: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| *at != left_out);
        kept.map(|(_, line)| format!("{line}\n")).collect::<String>()
    };
    let (third, fourth) = (id(lines[2]), id(lines[3]));
    for (name, text, expected) in [
        (
            "changed",
            whole.replacen("user_created", "user_removed", 1),
            format!("changed: entry {}", id(lines[0])),
        ),
        (
            "removed",
            without(2),
            format!("removed: 1 entries before entry {fourth}"),
        ),
        (
            "first removed",
            without(0),
            format!("removed: 1 entries before entry {}", id(lines[1])),
        ),
        (
            "no checkpoint",
            lines
                .iter()
                .filter(|line| line.starts_with("{\"id\":"))
                .map(|line| format!("{line}\n"))
                .collect(),
            "There is no checkpoint".to_owned(),
        ),
        ("no entry", format!("{whole}{{}}\n"), "unreadable: line".to_owned()),
        (
            "reordered",
            whole
                .replace(&format!("{{\"id\":{third},"), "{\"id\":0,")
                .replace(&format!("{{\"id\":{fourth},"), &format!("{{\"id\":{third},")),
            format!("changed: entry {third}"),
        ),
    ] {
        let (code, said) = scene.verify(&scene.file(name, &text), &[]).await;
        let sound = name == "no checkpoint";
        assert_eq!(code, Some(if sound { 0 } else { 1 }), "{name}: {said}");
        assert!(said.contains(&expected), "{name}: {said}");
    }
    // A part of it, from somewhere on.
    let part = scene.file("part", &without(0));
    let (code, said) = scene.verify(&part, &["--part"]).await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = scene.verify(&part, &["--part", "--expect", "00"]).await;
    assert_eq!(code, Some(1), "{said}");
}

#[tokio::test]
async fn exports_take_the_filters_of_the_list() {
    let scene = Scene::make().await;
    run(
        &scene.stack.app.db,
        "INSERT INTO audit_log (action, username, server_id, actor, details) VALUES ('user_removed', 'alice', 'x', 'key:admin', '=1+1')",
    )
    .await;
    let lines = scene
        .export("/api/audit.jsonl?username=alice&action=user_removed")
        .await;
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("\"details\":\"=1+1\""), "{lines}");
    assert_eq!(scene.export("/api/audit.jsonl?username=bob").await, "");
    let csv = scene.export("/api/audit.csv?username=alice").await;
    let rows: Vec<&str> = csv.trim_end().split("\r\n").collect();
    assert!(
        rows[0].starts_with("id,timestamp,reported_at,action,actor,username"),
        "{csv}"
    );
    assert_eq!(rows.len(), 2, "{csv}");
    assert!(rows[1].contains(",user_removed,key:admin,alice,x,'=1+1,"), "{csv}");
}

#[tokio::test]
async fn a_running_management_verifies_the_newest_entries() {
    let scene = Scene::make().await;
    let verify = async |body| json_of(post(&scene.stack, "/api/audit/verify", &body).await, StatusCode::OK).await;
    let sound = verify(json!({})).await;
    assert_eq!(
        (&sound["sound"], &sound["findings"]),
        (&json!(true), &json!([])),
        "{sound}"
    );
    assert_eq!(sound["unproven"], 0);
    assert_eq!(verify(json!({ "entries": 4 })).await["entries"], 4);

    let db = &scene.stack.app.db;
    let oldest = text(db, "SELECT min(id) FROM audit_log").await;
    tamper(
        db,
        "DELETE FROM audit_log WHERE id = (SELECT max(id) - 2 FROM audit_log)",
    )
    .await;
    tamper(db, &format!("UPDATE audit_log SET details = 'x' WHERE id = {oldest}")).await;
    let found = verify(json!({ "entries": 4 })).await;
    assert_eq!(
        (&found["sound"], &found["findings"][0]["fault"]),
        (&json!(false), &json!("removed")),
        "{found}"
    );
    let found = verify(json!({})).await;
    assert_eq!(found["findings"][0]["entry"].to_string(), oldest, "{found}");
    // The list goes on as before.
    assert!(get(&scene.stack, "/api/audit").await["items"].is_array());

    let (_, fields) = problem_of(
        post(&scene.stack, "/api/audit/verify", &json!({ "entries": 0 })).await,
        StatusCode::BAD_REQUEST,
    )
    .await;
    assert_eq!(fields, ["entries"]);
}
