//! What people are told while PostgreSQL cannot be used: where it is, and why.

use std::time::Duration;

use poem::http::StatusCode;
use sea_orm::{ConnectionTrait as _, Statement, TransactionTrait as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vpnmanager_management::{
    bus_reach::BusReach,
    reach::{Finding, Reach, WATCHING},
    renewal::is_read_only,
};
use vpnmanager_nats::{connect::BusAddress, security::bus_files::open::BusFiles};
use vpnmanager_testbed::{postgres, wait};

use crate::database::{connect, fresh_database, run};
use crate::logs::Logs;
use crate::queries::Queries;
use crate::silent_way::SilentWay;
use crate::stack::{Stack, WithKey as _, json_of, problem_of, start_nats};

#[tokio::test]
async fn a_database_that_is_gone_is_named_with_its_place_and_the_cause() {
    let logs = Logs::start();
    let (way, url) = Queries::counted(&fresh_database().await).await;
    let stack = Stack::start_on(&url, &[]).await;
    let place = stack.app.reach.place().to_owned();
    assert!(url.contains(&place), "{place}");
    let client = stack.client();

    drop(way);

    let told = format!("the database at {place} does not answer: Connection refused");
    for path in ["/api/users", "/health"] {
        // Whoever was in the middle of something is told how that ended.
        let named = wait::until_ok(wait::SOON, format!("{path} to say why"), async || {
            let response = client.get(path).admin().send().await;
            if response.0.status() == StatusCode::OK {
                return Err("200".to_owned());
            }
            let (problem, _) = problem_of(response, StatusCode::SERVICE_UNAVAILABLE).await;
            let said = problem["detail"].as_str().unwrap_or_default().to_owned();
            if said == told { Ok(()) } else { Err(said) }
        });
        named.await.expect("in time");
    }
    let lines = logs.lines("ERROR", "The database does not take connections");
    let last = lines.last().expect("a line");
    assert_eq!(
        (&last["database.at"], &last["cause"]),
        (&json!(place), &json!("Connection refused"))
    );
    let requests = logs.lines("WARN", "The database cannot be used");
    assert!(requests.iter().any(|line| line["why"] == told), "{requests:?}");
    let tasks = logs.lines("WARN", "Reconciler failed, repeating");
    let says_why = |line: &Value| line["error"].as_str().is_some_and(|error| error.starts_with(&told));
    assert!(tasks.iter().any(says_why), "{tasks:?}");
}

#[tokio::test]
async fn each_cause_is_told_in_the_words_of_who_refused_and_without_the_password() {
    let cluster = postgres::shared().await.expect("PostgreSQL");
    let admin = cluster.connect("postgres").await.expect("connected");
    let role = format!("crowded_{}", uuid::Uuid::now_v7().simple());
    run(&admin, &format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent_port = silent.local_addr().expect("bound").port();
    let port = cluster.port();
    let nowhere = cluster.url("nowhere").replace('@', ":hush@");
    let cases = [
        (
            format!("postgres://{role}:hush@127.0.0.1:{port}/postgres"),
            "too many connections for role",
        ),
        (nowhere, "database \"nowhere\" does not exist"),
        (
            format!("postgres://other_{role}:hush@127.0.0.1:{port}/postgres"),
            "does not exist",
        ),
        ("postgres://u:hush@127.0.0.1:1/d".to_owned(), "Connection refused"),
        (
            format!("postgres://u:hush@127.0.0.1:{silent_port}/d?sslmode=disable"),
            "no answer within 2s",
        ),
        (
            "postgres://u:hush@nowhere.invalid:5432/d".to_owned(),
            "failed to lookup address information",
        ),
    ];
    for (url, words) in cases {
        let reach = Reach::to(&url.clone().into()).expect("a URL");
        let Finding::Refuses(cause) = reach.look().await else {
            panic!("{url} is answered");
        };
        assert!(cause.contains(words), "{url}: {cause}");
        assert!(!format!("{cause}{reach:?}").contains("hush"), "{url}: {cause}");
    }
    run(&admin, &format!("DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_crowd_that_asks_why_makes_one_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let reach = Reach::to(&format!("postgres://u@127.0.0.1:{port}/d?sslmode=disable").into()).expect("a URL");
    let looks = futures_util::future::join_all((0..20).map(|_| reach.look()));
    let first = async {
        let (stream, _) = listener.accept().await.expect("an attempt");
        drop(stream);
    };
    let (found, ()) = tokio::join!(looks, first);
    assert!(
        found.iter().all(|one| *one == found[0] && *one != Finding::Takes),
        "{found:?}"
    );
    let second = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(second.is_err(), "there was another attempt");
}

#[tokio::test]
async fn what_the_database_refuses_is_answered_by_its_meaning() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    let client = stack.client();
    // PostgreSQL ends each create with this SQLSTATE.
    for (code, status, words) in [
        ("53100", StatusCode::SERVICE_UNAVAILABLE, "has no room left on its disk"),
        ("53300", StatusCode::SERVICE_UNAVAILABLE, "has too many clients"),
        ("57014", StatusCode::SERVICE_UNAVAILABLE, "took too long"),
        ("25006", StatusCode::SERVICE_UNAVAILABLE, "takes no changes"),
        ("55P03", StatusCode::SERVICE_UNAVAILABLE, "others change the same"),
        (
            "57P01",
            StatusCode::SERVICE_UNAVAILABLE,
            "does not answer: refused by a test",
        ),
        ("22001", StatusCode::BAD_REQUEST, "cannot store one of the values"),
        ("23505", StatusCode::INTERNAL_SERVER_ERROR, ""),
        ("42501", StatusCode::INTERNAL_SERVER_ERROR, ""),
    ] {
        let trigger = format!(
            "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN RAISE EXCEPTION 'refused by a test' USING ERRCODE = '{code}'; END $$;
             CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION refuse()"
        );
        stack.app.db.execute_unprepared(&trigger).await.expect("made");
        let create = client
            .post("/api/users")
            .admin()
            .body_json(&json!({ "username": "alice" }));
        let (problem, _) = problem_of(create.send().await, status).await;
        let said = problem["detail"].as_str().unwrap_or_default();
        assert!(said.contains(words), "{code}: {problem}");
    }
    run(&stack.app.db, "DROP TRIGGER refuse ON users").await;
    json_of(
        client
            .post("/api/users")
            .admin()
            .body_json(&json!({ "username": "alice" }))
            .send()
            .await,
        StatusCode::CREATED,
    )
    .await;
}

#[tokio::test]
async fn connections_that_take_no_changes_are_left_when_new_ones_take_them() {
    let database = fresh_database().await;
    let stack = Stack::start_on(&database, &[]).await;
    stack.enrol("node-1").await;
    let (client, admin) = (stack.client(), connect(&database).await);
    let (_, name) = database.rsplit_once('/').expect("a URL with a database");
    let name = name.split('?').next().unwrap_or_default();
    let create = async |username: &str| {
        let body = json!({ "username": username });
        let request = client.post("/api/users").admin().body_json(&body);
        request.send().await.0.status()
    };
    // What is set for a database counts for sessions that begin later.
    run(
        &admin,
        &format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on"),
    )
    .await;
    let end_all = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'";
    run(&admin, end_all).await;
    wait::until(wait::SOON, "all sessions to be read-only", async || {
        create("early").await == StatusCode::SERVICE_UNAVAILABLE
    })
    .await
    .expect("read-only");
    let held: Vec<_> = futures_util::future::join_all((0..8).map(|_| stack.app.db.begin())).await;
    run(
        &admin,
        &format!("BEGIN READ WRITE; ALTER DATABASE \"{name}\" RESET default_transaction_read_only; COMMIT"),
    )
    .await;
    drop(held);

    // Those that were ended are not replaced yet.
    let seconds = Duration::from_secs(5);
    wait::until(seconds, "a change to be made", async || {
        create("alice").await == StatusCode::CREATED
    })
    .await
    .expect("made");
    wait::until(wait::SOON, "the connections of tasks to take changes", async || {
        let old = [&stack.app.db, &stack.app.leases].map(is_read_only);
        futures_util::future::join_all(old)
            .await
            .into_iter()
            .all(|found| matches!(found, Ok(false)))
    })
    .await
    .expect("left");
}

#[tokio::test]
async fn a_bus_that_is_gone_is_told_once_with_its_place_and_the_cause() {
    let logs = Logs::start();
    let mut stack = Stack::start().await;
    let url = stack.nats.tls_url();

    stack.nats.kill().await;
    wait::until(wait::SOON, "the cause to be told", async || {
        !logs.lines("ERROR", "The bus is not connected").is_empty()
    })
    .await
    .expect("told");
    stack.nats.restart().await.expect("a server");
    wait::until(wait::SOON, "the end to be told", async || {
        !logs.lines("INFO", "The bus is connected again").is_empty()
    })
    .await
    .expect("told");

    let errors = logs.lines("ERROR", "The bus is not connected");
    let [line] = errors.as_slice() else {
        panic!("{errors:?}")
    };
    assert_eq!(
        (&line["bus.at"], &line["cause"]),
        (&json!(url), &json!(format!("{url}: Connection refused")))
    );
    let advice = line["advice"].as_str().unwrap_or_default();
    assert!(advice.contains("NATS_URL"), "{line}");
    let lost = logs.lines("WARN", "Lost the bus");
    assert!(lost.iter().any(|line| line["bus.at"] == url), "{lost:?}");
    json_of(stack.client().get("/health").send().await, StatusCode::OK).await;
}

#[tokio::test]
async fn each_cause_of_a_bus_that_is_away_is_told_with_what_to_do() {
    vpnmanager_runtime::tls::install_crypto_provider();
    let ((ours, dir), (_theirs, other_dir)) = (start_nats().await, start_nats().await);
    let (files, other) = (BusFiles::new(&dir), BusFiles::new(&other_dir));
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent_url = format!("tls://{}", silent.local_addr().expect("bound"));
    let url = ours.tls_url();
    let (ca, creds) = (files.ca_path(), files.management_creds_path());
    let cases = [
        (
            &url,
            &other.ca_path(),
            &creds,
            "TLS failed: invalid peer certificate",
            "bus-init",
        ),
        (
            &url,
            &ca,
            &other.management_creds_path(),
            "refuses the credential",
            "BUS_DIR",
        ),
        (
            &url,
            &ca,
            &dir.join("gone.creds"),
            "No such file or directory",
            "BUS_DIR",
        ),
        (&silent_url, &ca, &creds, "no answer within 2s", "its machine"),
        (
            &"tls://127.0.0.1:1".to_owned(),
            &ca,
            &creds,
            "Connection refused",
            "NATS_URL",
        ),
        (
            &"tls://nowhere.invalid:4222".to_owned(),
            &ca,
            &creds,
            "its name is not known: failed to lookup address information",
            "name service",
        ),
    ];
    for (url, ca, creds, cause, advice) in cases {
        let address = BusAddress {
            urls: vec![url.clone()],
            ca_file: Some(ca.clone()),
        };
        let reach = BusReach::to(address, creds.clone());
        // A busy machine may not answer in time.
        let told = wait::until_ok(wait::SOON, format!("the cause of {url}"), async || {
            match reach.look().await {
                Some(fault) if fault.causes.contains(cause) => Ok(fault),
                other => Err(format!("{other:?}")),
            }
        });
        let fault = told.await.expect("in time");
        assert!(fault.causes.starts_with(url.as_str()), "{fault}");
        assert!(fault.advice.contains(advice), "{fault}");
        assert_eq!(reach.explain(), fault.to_string());
    }
    let one_of_two = BusAddress {
        urls: vec!["tls://127.0.0.1:1".to_owned(), url.clone()],
        ca_file: Some(ca.clone()),
    };
    let reach = BusReach::to(one_of_two, creds.clone());
    wait::until(wait::SOON, "one address to take connections", async || {
        reach.look().await.is_none()
    })
    .await
    .expect("in time");
}

/// Starts a management on a way that may fall silent, and waits until it watches that.
async fn watching() -> (SilentWay, Stack) {
    let (way, url) = SilentWay::to(&fresh_database().await).await;
    let stack = Stack::start_on(&url, &[]).await;
    let watches = format!(
        "SELECT pid FROM pg_stat_activity WHERE application_name = '{WATCHING}' AND datname = current_database()"
    );
    wait::until(wait::SOON, "the watch", async || {
        let statement = Statement::from_string(stack.app.db.get_database_backend(), &watches);
        matches!(stack.app.db.query_one_raw(statement).await, Ok(Some(_)))
    })
    .await
    .expect("begun");
    (way, stack)
}

#[tokio::test]
async fn who_was_left_without_an_answer_begins_again_when_another_machine_answers() {
    let (way, stack) = watching().await;

    way.lead_elsewhere();

    let ended = tokio::time::timeout(wait::SOON, stack.tasks.wait(Duration::ZERO)).await;
    let why = ended.expect("in time").expect_err("its connections are dead");
    let said = format!("{:#}", anyhow::Error::new(why));
    assert!(
        said.contains("database-abandoned") && said.contains("answers on new ones"),
        "{said}"
    );
    assert!(said.contains(stack.app.reach.place()), "{said}");
}

#[tokio::test]
async fn who_hears_nothing_for_a_while_goes_on_when_the_same_machine_answers() {
    let logs = Logs::start();
    let (way, stack) = watching().await;

    way.fall_silent();
    wait::until(wait::SOON, "the silence to be noticed", async || {
        !logs.lines("WARN", "The database is silent on a connection").is_empty()
    })
    .await
    .expect("noticed");
    way.speak();
    wait::until(wait::SOON, "the answer to be noticed", async || {
        !logs.lines("INFO", "The database answers again").is_empty()
    })
    .await
    .expect("noticed");

    stack.enrol("node-1").await;
    assert!(!stack.tasks.token().is_cancelled(), "it began again");
}
