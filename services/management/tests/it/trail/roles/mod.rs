//! Two roles, made as docs/deployment.md says: the service's can do its work, and nothing to what is in the trail.

mod attacks;
mod powers;
mod site;

use std::time::Duration;

use poem::http::StatusCode;
use serde_json::json;
use tokio::process::Command;
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        audit_room,
        housekeeping::{Kept, delete_old_rows, make_audit_partitions},
        reports::apply_reports::apply_reports,
    },
};
use vpnmanager_nats::{
    events::{Event, EventKind},
    ids::{AgentInstance, EventId},
};

use self::site::Site;
use super::{entries, entry_at, number, text};
use crate::database::run;
use crate::ops::{applied, audited, create, enrol, node};
use crate::stack::{ADMIN_KEY, Stack, WithKey as _, json_of};

const SERVE: [&str; 3] = ["serve", "--listen", "127.0.0.1:0"];

#[tokio::test]
async fn a_service_that_owns_nothing_does_all_its_work() {
    let site = Site::make().await;
    site.migrate().await;
    site.migrate().await;

    let stack = Stack::start_on(&site.url(&site.service), &[]).await;
    enrol(&stack, "node-1").await;
    let alice = create(&stack, "alice").await;
    apply_reports(&stack.app, &[applied("node-1", &alice, 1)], &[])
        .await
        .expect("recorded");
    let event = Event {
        id: EventId::new(),
        node: node("node-1"),
        instance: AgentInstance::new(),
        at: chrono::Utc::now(),
        kind: EventKind::OpenvpnUp { pid: 1 },
    };
    apply_reports(&stack.app, &[], &[event]).await.expect("recorded");
    make_audit_partitions(&stack.app.db).await.expect("made");
    audit_room::summarise(&stack.app.db).await.expect("summarised");
    let second = Duration::from_secs(1);
    let kept = Kept {
        health: second,
        sessions: second,
        traffic: second,
    };
    delete_old_rows(&stack.app.db, kept).await.expect("deleted");
    let client = stack.client();
    let changed = client
        .patch("/api/users/alice")
        .admin()
        .body_json(&json!({ "active": false }))
        .send();
    json_of(changed.await, StatusCode::OK).await;
    let removed = client.delete("/api/users/alice").admin().send();
    assert!(removed.await.0.status().is_success());
    let trail = client.get("/api/audit").admin().send();
    let trail = json_of(trail.await, StatusCode::OK).await;
    assert!(trail["items"].as_array().expect("a list").len() >= 5, "{trail}");
    assert_eq!(audited(&stack, AuditAction::OpenvpnUp).await.len(), 1);
    assert!(!stack.tasks.token().is_cancelled(), "a task died");
}

#[tokio::test]
async fn a_month_that_is_missing_is_made_by_a_service_that_owns_nothing() {
    let site = Site::make().await;
    site.migrate().await;
    let (owner, service) = (site.connect(&site.owner).await, site.connect(&site.service).await);
    run(
        &owner,
        "DROP TABLE audit_log_default; CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT",
    )
    .await;
    for month in text(&owner, "SELECT string_agg(name, ' ') FROM audit_log_partitions()")
        .await
        .split(' ')
    {
        run(&owner, &format!("DROP TABLE {month}")).await;
    }
    let insert = "INSERT INTO audit_log (action, server_id, actor) VALUES ('user_created', 'management', 'system')";
    run(&service, insert).await;
    // Names that shadow those of the function, where the service may make tables of its own.
    run(
        &site.admin,
        &format!("GRANT TEMP ON DATABASE {} TO {}", site.service, site.service),
    )
    .await;
    run(
        &service,
        "CREATE TEMP TABLE audit_log (timestamp timestamptz); CREATE TEMP TABLE audit_log_default (timestamp timestamptz);
         CREATE TEMP TABLE audit_log_strays (id int);
         CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1999-01-01''::timestamptz';
         SET search_path = pg_temp, public",
    )
    .await;

    make_audit_partitions(&service).await.expect("made");

    assert_eq!(number(&owner, "SELECT count(*) FROM audit_log_partitions()").await, 4);
    assert_eq!(number(&owner, "SELECT count(*) FROM audit_log_default").await, 0);
    assert_eq!(number(&owner, "SELECT count(*) FROM audit_log").await, 1);
    let owners =
        "SELECT string_agg(DISTINCT pg_get_userbyid(relowner)::text, ' ') FROM pg_class WHERE relname LIKE 'audit_log%'
                  AND relnamespace = 'public'::regnamespace";
    assert_eq!(text(&owner, owners).await, site.owner);
}

#[tokio::test]
async fn only_the_owner_archives_and_the_service_loses_nothing_by_trying() {
    let site = Site::make().await;
    site.migrate().await;
    entry_at(&site.admin, "'2020-05-05'", "user_created").await;
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("archive");
    let out = out.to_str().expect("characters");
    let before = entries(&site.admin).await;
    let as_service = Command::new(env!("CARGO_BIN_EXE_vpnmanager-management"))
        .args(["audit-archive", "--before", "2026-01", "--out", out])
        .env_clear()
        .env("DATABASE_URL", site.url(&site.service))
        .output();
    let refused = as_service.await.expect("runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("permission denied"),
        "{refused:?}"
    );
    assert_eq!(entries(&site.admin).await, before);

    let (code, said) = site
        .command(&["audit-archive", "--before", "2026-01", "--out", out])
        .await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("audit-2020-05.jsonl.gz: 1 entries"), "{said}");
    assert_eq!(
        text(&site.admin, "SELECT string_agg(action, ' ') FROM audit_log").await,
        "audit_archived"
    );
}

/// Runs a command of the program that must be refused, without the tries that it has for what may go away by itself. Gives what it said.
async fn refused_at_once(arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let command = Command::new(env!("CARGO_BIN_EXE_vpnmanager-management"))
        .args(arguments)
        .env_clear()
        .env("API_KEY", ADMIN_KEY)
        .env("PKI_DIR", folder.path().join("pki"))
        .envs(settings.iter().copied())
        .output();
    let output = tokio::time::timeout(Duration::from_secs(25), command)
        .await
        .expect("gives up at once")
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[tokio::test]
async fn a_service_on_an_older_schema_says_what_to_do() {
    let site = Site::make().await;
    let said = refused_at_once(&SERVE, &[("DATABASE_URL", &site.url(&site.service))]).await;
    assert!(said.contains("DB_OWNER_USER") && said.contains(&site.service), "{said}");
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone_whichever_role_connects() {
    let site = Site::make().await;
    site.migrate().await;
    run(
        &site.connect(&site.owner).await,
        "INSERT INTO seaql_migrations VALUES ('m29990101_000001_late', 0)",
    )
    .await;
    let (owner, service) = (site.url(&site.owner), site.url(&site.service));
    let as_owner = [("DATABASE_URL", owner.as_str())];
    let as_service = [("DATABASE_URL", service.as_str())];
    let as_both = [
        ("DATABASE_URL", service.as_str()),
        ("DATABASE_OWNER_URL", owner.as_str()),
    ];
    let settings: [&[(&str, &str)]; 3] = [&as_owner, &as_service, &as_both];
    let commands: [&[&str]; 2] = [&SERVE, &["migrate"]];
    for arguments in commands {
        for settings in settings {
            let said = refused_at_once(arguments, settings).await;
            assert!(
                said.contains("the database is of a newer release (migration m29990101_000001_late is unknown here)"),
                "{arguments:?} {settings:?}: {said}"
            );
            assert!(!said.contains("The schema is not up to date yet"), "{said}");
        }
    }
}
