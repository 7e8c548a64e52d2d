//! Two roles, made as docs/deployment.md says: the service's can do its work, and nothing to what is in the trail.

use std::time::Duration;

use poem::http::StatusCode;
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde_json::json;
use tokio::process::Command;
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        audit_room,
        housekeeping::{delete_old_rows, make_audit_partitions},
        reports::apply_reports::apply_reports,
    },
    schema::powers_over_the_trail,
};
use vpnmanager_nats::{
    events::{Event, EventKind},
    ids::{AgentInstance, EventId},
};
use vpnmanager_testbed::postgres;

use super::{entries, entry_at, number, text};
use crate::database::{connect, run};
use crate::ops::{applied, audited, create, enrol, node};
use crate::stack::{ADMIN_KEY, Stack, WithKey as _, json_of};

const DEPLOYMENT: &str = include_str!("../../../../../docs/deployment.md");

/// A database with two roles, and nothing in it yet.
struct Site {
    owner: String,
    service: String,
    port: u16,
    admin: DatabaseConnection,
}

impl Site {
    /// Follows the recipe of the page, with names of its own: tests share a cluster.
    async fn make() -> Self {
        let cluster = postgres::shared().await.expect("PostgreSQL");
        let id = uuid::Uuid::now_v7().simple();
        let (owner, service) = (format!("owner_{id}"), format!("service_{id}"));
        let recipe = DEPLOYMENT
            .split("CREATE ROLE vpnmanager_owner")
            .nth(1)
            .expect("the recipe");
        let recipe = recipe.split("```").next().expect("its end");
        let recipe = format!("CREATE ROLE vpnmanager_owner{recipe}");
        let recipe = recipe
            .replace("vpnmanager_owner", &owner)
            .replace("vpnmanager", &service);
        let (before, after) = recipe
            .split_once(&format!("\\connect {service}\n"))
            .expect("a line that connects");
        let admin = cluster.connect("postgres").await.expect("connected");
        statements(&admin, before).await;
        let admin = cluster.connect(&service).await.expect("connected");
        statements(&admin, after).await;
        Self {
            owner,
            service,
            port: cluster.port(),
            admin,
        }
    }

    fn url(&self, role: &str) -> String {
        format!(
            "postgres://{role}@127.0.0.1:{}/{}?sslmode=disable",
            self.port, self.service
        )
    }

    async fn connect(&self, role: &str) -> DatabaseConnection {
        connect(&self.url(role)).await
    }

    /// Runs a command of the program with both roles in its settings.
    async fn command(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let command = Command::new(env!("CARGO_BIN_EXE_vpnmanager-management"))
            .args(arguments)
            .env_clear()
            .env("DB_HOST", "127.0.0.1")
            .env("DB_PORT", self.port.to_string())
            .env("DB_NAME", &self.service)
            .env("DB_USER", &self.service)
            .env("DB_OWNER_USER", &self.owner)
            .env("DB_SSLMODE", "disable")
            .current_dir("/")
            .output();
        let output = command.await.expect("runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).expect("UTF-8"))
    }

    async fn migrate(&self) {
        let (code, said) = self.command(&["migrate"]).await;
        assert_eq!(code, Some(0), "{said}");
    }
}

/// CREATE DATABASE must be alone.
async fn statements(db: &DatabaseConnection, text: &str) {
    for statement in text.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        run(db, statement).await;
    }
}

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
    delete_old_rows(&stack.app.db, Duration::from_secs(1))
        .await
        .expect("deleted");
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

/// What somebody who has taken over the service would try on the trail. `{part}` is a partition, `{owner}` and `{service}` are the roles.
const ATTACKS: &[&str] = &[
    "UPDATE audit_log SET action = 'x'",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
    "TRUNCATE users, audit_log CASCADE",
    "UPDATE {part} SET action = 'x'",
    "DELETE FROM {part}",
    "TRUNCATE {part}",
    "INSERT INTO {part} (action, server_id, actor) VALUES ('x', 'x', 'x')",
    "SELECT * FROM {part}",
    "MERGE INTO audit_log USING (SELECT 1) x ON true WHEN MATCHED THEN DELETE",
    "INSERT INTO audit_log (action, server_id, actor, timestamp) VALUES ('x', 'x', 'x', '2020-01-01')",
    "INSERT INTO audit_log (action, server_id, actor, id) VALUES ('x', 'x', 'x', 1)",
    "INSERT INTO audit_log (action, server_id, actor) VALUES ('x', 'x', 'x') ON CONFLICT (id, timestamp) DO UPDATE SET action = 'x'",
    "COPY audit_log FROM PROGRAM 'true'",
    "COPY audit_log TO PROGRAM 'true'",
    "SELECT setval('audit_log_id_seq', 1)",
    "ALTER SEQUENCE audit_log_id_seq RESTART",
    "SELECT * FROM audit_log FOR UPDATE",
    "LOCK TABLE audit_log IN ACCESS EXCLUSIVE MODE",
    "LOCK TABLE audit_log IN SHARE MODE",
    "DROP TABLE audit_log",
    "DROP TABLE audit_log CASCADE",
    "DROP TABLE {part}",
    "ALTER TABLE audit_log DETACH PARTITION {part}",
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "ALTER TABLE audit_log DISABLE TRIGGER audit_log_append_only",
    "ALTER TABLE {part} DISABLE TRIGGER USER",
    "ALTER TABLE audit_log ALTER COLUMN timestamp DROP DEFAULT",
    "ALTER TABLE audit_log ADD COLUMN x INT",
    "ALTER TABLE audit_log RENAME TO x",
    "ALTER TABLE audit_log SET SCHEMA pg_temp",
    "ALTER TABLE audit_log OWNER TO {service}",
    "ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY x ON audit_log USING (false)",
    "CREATE RULE x AS ON INSERT TO audit_log DO INSTEAD NOTHING",
    "CREATE RULE x AS ON INSERT TO {part} DO INSTEAD NOTHING",
    "CREATE TRIGGER x BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "DROP TRIGGER audit_log_append_only ON audit_log",
    "DROP TRIGGER audit_log_not_truncated ON {part}",
    "CREATE OR REPLACE FUNCTION audit_log_is_append_only() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'",
    "ALTER FUNCTION audit_log_is_append_only() SET session_replication_role = 'replica'",
    "DROP FUNCTION audit_log_is_append_only() CASCADE",
    "ALTER FUNCTION audit_log_make_partitions(integer) SECURITY INVOKER",
    "ALTER FUNCTION audit_log_make_partitions(integer) SET search_path = pg_temp",
    "SELECT audit_log_make_partition(now() + interval '90 years')",
    "CREATE UNIQUE INDEX x ON audit_log (action)",
    "DROP INDEX audit_log_by_username",
    "CREATE TABLE x () INHERITS (audit_log)",
    "CREATE TABLE x PARTITION OF audit_log FOR VALUES FROM ('2050-01-01') TO ('2051-01-01')",
    "CREATE TABLE x (id INT)",
    "CREATE TEMP TABLE x (id INT)",
    "CREATE FUNCTION now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''1999-01-01''::timestamptz'",
    "CREATE SCHEMA x",
    "SET session_replication_role = 'replica'",
    "SELECT set_config('session_replication_role', 'replica', false)",
    "ALTER ROLE {service} SET session_replication_role = 'replica'",
    "ALTER DATABASE {service} SET session_replication_role = 'replica'",
    "ALTER SYSTEM SET session_replication_role = 'replica'",
    "SET ROLE {owner}",
    "SET SESSION AUTHORIZATION {owner}",
    "GRANT {owner} TO {service}",
    "GRANT pg_write_all_data TO {service}",
    "GRANT UPDATE ON audit_log TO {service}; UPDATE audit_log SET action = 'x'",
    "ALTER ROLE {service} SUPERUSER",
    "ALTER ROLE {owner} PASSWORD 'x'",
    "CREATE ROLE x SUPERUSER",
    "REASSIGN OWNED BY {owner} TO {service}",
    "DROP OWNED BY {owner}",
    "DROP SCHEMA public CASCADE",
    "DROP DATABASE {service}",
    "ALTER DATABASE {service} OWNER TO {service}",
    "DELETE FROM pg_trigger",
    "UPDATE pg_class SET relowner = 0",
    "CREATE EVENT TRIGGER x ON sql_drop EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE PUBLICATION x FOR TABLE audit_log",
    "DELETE FROM seaql_migrations",
    "DROP TABLE users CASCADE",
    "ALTER TABLE users DISABLE TRIGGER ALL",
    "TRUNCATE users CASCADE",
];

#[tokio::test]
async fn a_service_that_owns_nothing_can_do_nothing_to_what_is_in_the_trail() {
    let site = Site::make().await;
    site.migrate().await;
    entry_at(&site.admin, "now()", "user_created").await;
    entry_at(&site.admin, "now() + interval '9 years'", "user_created").await;
    let shape = "SELECT string_agg(tgrelid::regclass || tgname || tgenabled::text, ' ' ORDER BY tgrelid, tgname) FROM pg_trigger";
    let before = (entries(&site.admin).await, text(&site.admin, shape).await);
    let parts = text(
        &site.admin,
        "SELECT string_agg(inhrelid::regclass::text, ' ') FROM pg_inherits WHERE inhparent = 'audit_log'::regclass",
    )
    .await;
    for attack in ATTACKS {
        let parts: Vec<&str> = if attack.contains("{part}") {
            parts.split(' ').collect()
        } else {
            vec![""]
        };
        for part in parts {
            let sql = attack
                .replace("{part}", part)
                .replace("{owner}", &site.owner)
                .replace("{service}", &site.service);
            // Each has a session of its own, so that none leans on what an earlier one set.
            let service = site.connect(&site.service).await;
            if let Ok(done) = service.execute_unprepared(&sql).await {
                panic!("{sql}: {done:?}");
            }
            service.close().await.expect("closed");
        }
    }
    assert_eq!((entries(&site.admin).await, text(&site.admin, shape).await), before);
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

#[tokio::test]
async fn a_service_on_an_older_schema_says_what_to_do() {
    let site = Site::make().await;
    let serve = Command::new(env!("CARGO_BIN_EXE_vpnmanager-management"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .env_clear()
        .env("API_KEY", ADMIN_KEY)
        .env("DATABASE_URL", site.url(&site.service))
        .env("PKI_DIR", tempfile::tempdir().expect("a folder").path().join("pki"))
        .output();
    let output = tokio::time::timeout(Duration::from_secs(25), serve)
        .await
        .expect("gives up at once")
        .expect("runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("DB_OWNER_USER") && said.contains(&site.service), "{said}");
}

#[tokio::test]
async fn what_gives_a_role_power_over_the_trail_is_named() {
    let site = Site::make().await;
    site.migrate().await;
    let powers = async |role: &str| {
        let db = site.connect(role).await;
        let (name, powers) = powers_over_the_trail(&db).await.expect("read");
        assert_eq!(name, role);
        powers.join(", ")
    };
    assert_eq!(powers(&site.service).await, "");
    let of_owner = powers(&site.owner).await;
    assert!(
        of_owner.contains("owns audit_log") && of_owner.contains("owns the schema or the database"),
        "{of_owner}"
    );

    for (give, take, power) in [
        (
            "GRANT {owner} TO {service}",
            "REVOKE {owner} FROM {service}",
            "owns audit_log",
        ),
        (
            "ALTER DATABASE {service} OWNER TO {service}",
            "ALTER DATABASE {service} OWNER TO {owner}; GRANT CONNECT ON DATABASE {service} TO {service}",
            "owns the schema or the database",
        ),
        (
            "GRANT TRUNCATE ON audit_log TO {service}",
            "REVOKE TRUNCATE ON audit_log FROM {service}",
            "may change or empty",
        ),
        (
            "ALTER ROLE {service} CREATEROLE",
            "ALTER ROLE {service} NOCREATEROLE",
            "may make roles",
        ),
        (
            "ALTER ROLE {service} SUPERUSER",
            "ALTER ROLE {service} NOSUPERUSER",
            "superuser",
        ),
    ] {
        let sql = |text: &str| text.replace("{owner}", &site.owner).replace("{service}", &site.service);
        run(&site.admin, &sql(give)).await;
        let found = powers(&site.service).await;
        assert!(found.contains(power), "{give}: {found}");
        run(&site.admin, &sql(take)).await;
    }
    assert_eq!(powers(&site.service).await, "");
}

#[tokio::test]
async fn rights_that_were_given_once_too_often_are_taken_back() {
    let site = Site::make().await;
    site.migrate().await;
    run(
        &site.admin,
        &format!("GRANT ALL ON audit_log, users TO {}", site.service),
    )
    .await;
    site.migrate().await;
    let service = site.connect(&site.service).await;
    for sql in ["DELETE FROM audit_log", "TRUNCATE audit_log", "TRUNCATE users CASCADE"] {
        let refused = service.execute_unprepared(sql).await.expect_err(sql);
        assert!(refused.to_string().contains("permission denied"), "{refused}");
    }
}
