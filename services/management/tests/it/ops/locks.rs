//! Who waits for whom in PostgreSQL.

use futures_util::future::join_all;
use poem::http::Method;
use sea_orm::{
    ConnectionTrait as _, DatabaseBackend, DatabaseConnection, EntityTrait, FromQueryResult, QuerySelect, Statement,
    TransactionTrait,
};
use secrecy::ExposeSecret as _;
use serde_json::json;
use vpnmanager_entities::server;
use vpnmanager_management::ops::{
    credentials::revoke_node::NodeCredentials,
    nodes::{deregister::deregister_node, record_heartbeats::record_heartbeats},
    users::{
        change::{UserChange, change_user},
        reissue::{OldProfiles, reissue_profile},
        remove::remove_user,
    },
};
use vpnmanager_nats::{device::DeviceName, heartbeats::OpenvpnState};
use vpnmanager_testbed::wait;

use super::{actor, create, enrol, node, nodes::heartbeat};
use crate::{
    database::{connect, number, run},
    stack::{Stack, get, send},
};

#[tokio::test]
async fn changes_of_users_do_not_wait_for_a_node_that_is_being_deregistered() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    for name in ["alice", "bob", "carol"] {
        create(&stack, name).await;
    }
    let name = |name: &str| name.parse().expect("a valid username");
    let suspend = UserChange {
        active: Some(false),
        ..UserChange::default()
    };
    // As a deregistration begins, before it waits for the node's users.
    let deregistration = stack.app.db.begin().await.expect("begun");
    let nodes = server::Entity::find().lock_exclusive().all(&deregistration).await;
    assert_eq!(nodes.expect("locked").len(), 2);

    let changes = async {
        let (app, actor) = (&stack.app, actor());
        change_user(app, &actor, &name("alice"), suspend)
            .await
            .expect("suspended");
        reissue_profile(app, &actor, &name("bob"), &DeviceName::default(), OldProfiles::Revoke)
            .await
            .expect("reissued");
        remove_user(app, &actor, &name("carol")).await.expect("removed");
    };
    tokio::time::timeout(wait::SOON, changes).await.expect("nobody waits");
    deregistration.rollback().await.expect("rolled back");
}

/// More than management has connections.
const CROWD: usize = 60;

#[tokio::test]
async fn a_crowd_that_changes_one_user_or_one_pool_leaves_connections_to_others() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    let nothing = json!({});
    let other = connect(stack.config.database.connection_url().expose_secret()).await;
    for (lock, path) in [
        (
            "SELECT FROM users WHERE username = 'alice' FOR UPDATE",
            "/api/users/alice",
        ),
        ("SELECT pg_advisory_xact_lock(7816539210442)", "/api/pools/default"),
    ] {
        let held = other.begin().await.expect("begun");
        held.execute_unprepared(lock).await.expect("locked");
        let crowd = join_all((0..CROWD).map(|_| send(&stack, Method::PATCH, path, &nothing)));
        let beside = async {
            let one_waits =
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
            let waits = wait::until(wait::SOON, "one of them to wait", async || {
                number(&other, one_waits).await > 0
            });
            waits.await.expect("it waits");
            let listed = tokio::time::timeout(wait::SOON, get(&stack, "/api/users")).await;
            assert_eq!(
                listed.expect("nobody else waits")["items"][0]["username"],
                "alice",
                "{path}"
            );
            held.rollback().await.expect("given back");
        };
        let (answers, ()) = tokio::join!(crowd, beside);
        for answer in answers {
            answer.assert_status_is_ok();
        }
    }
}

#[tokio::test]
async fn nodes_that_are_deregistered_at_once_go_one_after_the_other() {
    let stack = Stack::start().await;
    for id in ["node-1", "node-2", "node-3"] {
        enrol(&stack, id).await;
    }
    for number in 0..20 {
        create(&stack, &format!("user-{number}")).await;
    }
    let (actor, first, second) = (actor(), node("node-1"), node("node-2"));

    let (one, other) = tokio::join!(
        deregister_node(&stack.app, &actor, &first, NodeCredentials::Keep),
        deregister_node(&stack.app, &actor, &second, NodeCredentials::Keep)
    );

    one.expect("deregistered");
    other.expect("deregistered");
    let left = server::Entity::find().all(&stack.app.db).await.expect("read");
    assert_eq!(left.len(), 1);
}

#[tokio::test]
async fn replicas_that_hear_of_the_same_nodes_at_once_never_deadlock() {
    let stack = Stack::start().await;
    let ids = ["node-1", "node-2", "node-3", "node-4"];
    for id in ids {
        enrol(&stack, id).await;
    }
    let (db, limits) = (&stack.app.db, stack.app.config.health);
    // Each round is a clone more, and a change of each state: entries that the nodes cause.
    let hear = async |order: [&str; 4]| {
        for round in 0..20 {
            let state = if round % 2 == 0 {
                OpenvpnState::Up
            } else {
                OpenvpnState::Down
            };
            let batch = order.map(|id| heartbeat(id, state));
            record_heartbeats(db, limits, &batch).await.expect("recorded");
        }
    };
    let [a, b, c, d] = ids;

    let replicas = [[a, b, c, d], [d, c, b, a], [b, d, a, c], [c, a, d, b]];
    join_all(replicas.map(hear)).await;

    // A server tells its statistics at the end of a session at the latest.
    let sessions = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let observer = connect(stack.config.database.connection_url().expose_secret()).await;
    run(&observer, sessions).await;
    assert_eq!(deadlocks(&observer).await, 0);
}

async fn deadlocks(db: &DatabaseConnection) -> i64 {
    #[derive(FromQueryResult)]
    struct Row {
        deadlocks: i64,
    }
    let query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    let statement = Statement::from_string(DatabaseBackend::Postgres, query);
    let row = Row::find_by_statement(statement).one(db).await;
    row.expect("read").expect("a row").deadlocks
}

/// A replica that is frozen in the middle of a transaction keeps its locks from nobody for long.
#[tokio::test]
async fn postgresql_ends_transactions_that_nobody_goes_on_with() {
    let stack = Stack::start().await;
    for db in [&stack.app.db, &stack.app.leases] {
        for (setting, expected) in [
            ("idle_in_transaction_session_timeout", "5s"),
            ("tcp_keepalives_idle", "10"),
        ] {
            let show = Statement::from_string(db.get_database_backend(), format!("SHOW {setting}"));
            let row = db.query_one_raw(show).await.expect("read").expect("a row");
            assert_eq!(row.try_get_by_index::<String>(0).expect("text"), expected);
        }
    }
}
