//! Management with a PgBouncer between it and PostgreSQL.

use poem::http::StatusCode;
use sea_orm::{ConnectionTrait as _, DatabaseConnection, Statement};
use serde_json::json;
use vpnmanager_testbed::postgres::{self, IGNORED, PgBouncer, Pooling, pgbouncer_version, require_pgbouncer};

use crate::database::{connect, fresh_database, run};
use crate::stack::{Stack, WithKey as _, json_of};

/// The role of the tests' databases.
const ROLE: &str = "vpnmanager";
/// The first version that keeps prepared statements where transactions are pooled.
const KEEPS_STATEMENTS: (u32, u32) = (1, 21);

const SESSIONS: Pooling = Pooling {
    mode: "session",
    ignored: IGNORED,
    prepared_statements: None,
};
const TRANSACTIONS: Pooling = Pooling {
    mode: "transaction",
    ..SESSIONS
};

/// A PgBouncer, and the way to a new database through it.
async fn bouncer(pooling: Pooling<'_>) -> (PgBouncer, String) {
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let bouncer = PgBouncer::start(cluster, &[ROLE], pooling).await.expect("PgBouncer");
    let url = bouncer.lead(&fresh_database().await, ROLE);
    (bouncer, url)
}

async fn set(db: &DatabaseConnection, setting: &str) -> String {
    let statement = Statement::from_string(db.get_database_backend(), format!("SHOW {setting}"));
    let row = db.query_one_raw(statement).await.expect("read").expect("a setting");
    row.try_get_by_index(0).expect("a text")
}

/// Creates users, many at once, suspends one and lists them.
async fn does_its_work(stack: &Stack) {
    stack.enrol("node-1").await;
    let client = stack.client();
    let names: Vec<String> = (0..20).map(|number| format!("user-{number:02}")).collect();
    let created = names.iter().map(|name| stack.create_user(name));
    futures_util::future::join_all(created).await;
    let change = client
        .patch("/api/users/user-07")
        .admin()
        .body_json(&json!({ "active": false }));
    let suspended = json_of(change.send().await, StatusCode::OK).await;
    assert_eq!(suspended["active"], false, "{suspended}");
    let list = client.get("/api/users").admin().query("limit", &100).send().await;
    let listed = json_of(list, StatusCode::OK).await;
    let users = listed["items"].as_array().expect("a list");
    let suspended: Vec<_> = users.iter().filter(|user| user["active"] == false).collect();
    assert_eq!((users.len(), suspended.len()), (20, 1), "{listed}");
    let trail = client.get("/api/audit?action=user_suspended").admin().send().await;
    let trail = json_of(trail, StatusCode::OK).await;
    assert_eq!(trail["items"].as_array().map(Vec::len), Some(1), "{trail}");
    json_of(client.get("/health").send().await, StatusCode::OK).await;
}

/// Why management does not start on it.
async fn refusal(url: &str) -> String {
    match Box::pin(Stack::try_start_on(url, &[])).await {
        Ok(_) => panic!("it starts"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test]
async fn sessions_may_be_pooled() {
    let Some(()) = require_pgbouncer("sessions_may_be_pooled") else {
        return;
    };
    let (_bouncer, url) = bouncer(SESSIONS).await;
    let stack = Box::pin(Stack::start_on(&url, &[])).await;
    does_its_work(&stack).await;
    // docs/deployment.md says what is lost, and how it comes back.
    for setting in ["idle_in_transaction_session_timeout", "statement_timeout"] {
        assert_eq!(set(&stack.app.db, setting).await, "0", "{setting}");
    }
}

#[tokio::test]
async fn transactions_may_be_pooled_where_prepared_statements_are_kept() {
    let test = "transactions_may_be_pooled_where_prepared_statements_are_kept";
    let Some(()) = require_pgbouncer(test) else { return };
    let keeps = pgbouncer_version().expect("a version") >= KEEPS_STATEMENTS;
    let (_bouncer, url) = bouncer(Pooling {
        prepared_statements: keeps.then_some(200),
        ..TRANSACTIONS
    })
    .await;
    if keeps {
        does_its_work(&Box::pin(Stack::start_on(&url, &[])).await).await;
    } else {
        let said = refusal(&url).await;
        assert!(
            said.contains("PgBouncer pools transactions. Set pool_mode = session there"),
            "{said}"
        );
    }
}

#[tokio::test]
async fn a_pgbouncer_that_refuses_the_parameters_of_a_connection_is_named_with_what_to_set() {
    let test = "a_pgbouncer_that_refuses_the_parameters_of_a_connection_is_named_with_what_to_set";
    let Some(()) = require_pgbouncer(test) else { return };
    let (_bouncer, url) = bouncer(Pooling {
        ignored: "",
        ..SESSIONS
    })
    .await;
    let said = refusal(&url).await;
    assert!(
        said.contains("set ignore_startup_parameters = extra_float_digits,options"),
        "{said}"
    );
}

/// The statements of docs/deployment.md.
#[tokio::test]
async fn what_pgbouncer_ignores_comes_back_as_settings_of_the_role() {
    let test = "what_pgbouncer_ignores_comes_back_as_settings_of_the_role";
    let Some(()) = require_pgbouncer(test) else { return };
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let admin = cluster.connect("postgres").await.expect("connected");
    let role = format!("pooled_{}", uuid::Uuid::now_v7().simple());
    run(&admin, &format!("CREATE ROLE {role} LOGIN")).await;
    let settings = [
        ("idle_in_transaction_session_timeout", "5s"),
        ("statement_timeout", "30s"),
        ("enable_seqscan", "off"),
        ("jit", "off"),
    ];
    for (setting, value) in settings {
        run(&admin, &format!("ALTER ROLE {role} SET {setting} = '{value}'")).await;
    }
    let bouncer = PgBouncer::start(cluster, &[&role], SESSIONS).await.expect("PgBouncer");
    let db = connect(&bouncer.lead(&cluster.url("postgres"), &role)).await;
    for (setting, value) in settings {
        assert_eq!(set(&db, setting).await, value, "{setting}");
    }
    db.close().await.expect("closed");
    drop(bouncer);
    run(&admin, &format!("DROP ROLE {role}")).await;
}
