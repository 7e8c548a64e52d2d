//! A replica goes on while another one of a newer release changes the schema below it.

use std::time::Duration;

use chrono::Utc;
use sea_orm::{ConnectOptions, Database, FromQueryResult, Statement};
use vpnmanager_management::{
    app::App,
    domain::placement::Goal,
    ops::{
        audit_room::summarise,
        nodes::{
            assess_ages::assess_ages, note_hearing::note_hearing, read::get_node, record_heartbeats::record_heartbeats,
            request_handshakes::request_all, sum_totals::sum_totals, tell_draining::tell_draining,
        },
        placement::{fill::place_users, readmit::readmit_nodes, rehome::rehome_users},
        publications::{
            ask_directly::{self, Spared},
            claim, record,
        },
        users::read::get_user,
    },
};
use vpnmanager_nats::heartbeats::OpenvpnState;

use super::{create, enrol, node, nodes::heartbeat};
use crate::database::{fresh_database, run};
use crate::stack::Stack;

#[derive(FromQueryResult)]
struct Table {
    name: String,
}

/// Runs what a replica runs all the time. On one connection, so that each statement meets the plan that was made before.
async fn run_all(app: &App) {
    let db = &app.db;
    let goal = Goal {
        replicas: 3,
        lost_before: Utc::now() - Duration::from_secs(60),
    };
    claim::claim(db).await.expect("claimed");
    ask_directly::claim(db, &Spared::default()).await.expect("claimed");
    ask_directly::leave_to_stream(db).await.expect("left");
    record::republish_overdue(db, Duration::from_secs(60))
        .await
        .expect("published again");
    place_users(db, goal).await.expect("placed");
    rehome_users(app, Duration::from_secs(60)).await.expect("moved");
    readmit_nodes(db).await.expect("readmitted");
    let beat = heartbeat("node-1", OpenvpnState::Up);
    record_heartbeats(db, app.config.health, &[beat])
        .await
        .expect("recorded");
    note_hearing(db, "another", Duration::from_secs(1))
        .await
        .expect("recorded");
    assess_ages(app).await.expect("assessed");
    sum_totals(db).await.expect("summed");
    summarise(db).await.expect("told");
    tell_draining(app).await.expect("told");
    request_all(db).await.expect("asked");
    get_node(app, &node("node-1")).await.expect("read").expect("there");
    get_user(db, &"alice".parse().expect("a valid username"))
        .await
        .expect("read")
        .expect("there");
}

#[tokio::test]
async fn the_statements_of_a_replica_outlive_columns_that_a_newer_one_adds() {
    let database = fresh_database().await;
    let stack = Stack::start_on(&database, &[]).await;
    enrol(&stack, "node-1").await;
    create(&stack, "alice").await;
    let mut options = ConnectOptions::new(&database);
    options.max_connections(1).sqlx_logging(false);
    let app = App {
        db: Database::connect(options).await.expect("connected"),
        ..stack.app.clone()
    };
    run_all(&app).await;

    let tables = Statement::from_string(
        app.db.get_database_backend(),
        "SELECT relname::text AS name FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition",
    );
    let tables = Table::find_by_statement(tables).all(&stack.app.db).await.expect("read");
    assert!(tables.len() > 10);
    for Table { name } in tables {
        run(
            &stack.app.db,
            &format!("ALTER TABLE {name} ADD COLUMN added_later TEXT"),
        )
        .await;
    }
    run_all(&app).await;
}
