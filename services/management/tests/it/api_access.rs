//! Access: every operation of the API description, with every kind of key.

use poem::Endpoint;
use poem::http::{Method, StatusCode};
use poem::test::{TestClient, TestResponse};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use vpnmanager_management::api;
use vpnmanager_testbed::wait;

use std::time::Duration;

use crate::database;
use crate::stack::{ADMIN_KEY, Stack, WithKey as _, json_of, problem_of, registration};

use vpnmanager_entities::api_key::Role;

/// Path and method of each operation, with names in place of the parameters.
pub(crate) fn operations() -> Vec<(String, Method, String)> {
    let spec = api::spec();
    let paths = spec.document()["paths"].as_object().expect("paths").clone();
    let mut operations = Vec::new();
    for (path, item) in paths {
        let path = path.replace("{username}", "nobody").replace("{server_id}", "nowhere");
        let path = path.replace("{name}", "nothing").replace("{device}", "phone");
        let path = path.replace("{key_id}", "4096").replace("{group}", "nobodies");
        for (method, operation) in item.as_object().expect("operations") {
            let method: Method = method.to_uppercase().parse().expect("a method");
            let id = operation["operationId"].as_str().expect("an id").to_owned();
            operations.push((path.clone(), method, id));
        }
    }
    operations
}

/// A body that the operation accepts, so that only the key decides.
fn body_of(id: &str) -> Value {
    match id {
        "create_user" => json!({ "username": "nobody" }),
        "batch_users" => json!({ "items": [{ "action": "remove", "username": "nobody" }] }),
        "register_endnode" => registration("node-1").body(),
        "move_endnode" => json!({ "pool": "sales" }),
        "discard_endnode_traffic" => json!({ "from": "2027-03-01" }),
        "create_device" => json!({ "name": "phone" }),
        "create_api_key" => json!({ "name": "another", "role": "viewer" }),
        "create_webhook" => json!({ "url": "https://receiver.example/events" }),
        "create_pool" | "create_group" => json!({ "name": "sales" }),
        _ => json!({}),
    }
}

pub(crate) async fn call(
    client: &TestClient<impl Endpoint>,
    operation: &(String, Method, String),
    header: Option<(&'static str, String)>,
) -> TestResponse {
    let (path, method, id) = operation;
    let mut request = client.request(method.clone(), path);
    if let Some((name, value)) = header {
        request = request.header(name, value);
    }
    if *method == Method::POST || *method == Method::PATCH {
        request = request.body_json(&body_of(id));
    }
    request.send().await
}

#[tokio::test]
async fn no_operation_but_health_answers_without_a_known_key() {
    let stack = Stack::start().await;
    let client = stack.client();
    for operation in operations() {
        if ["get_health", "get_life", "get_readiness"].contains(&operation.2.as_str()) {
            call(&client, &operation, None).await.assert_status_is_ok();
            continue;
        }
        // Needs a signature and no key; `standing` tests that.
        if operation.2 == "tell_endnode_standing" {
            continue;
        }
        let wrong = [
            None,
            Some(("x-api-key", "wrong".to_owned())),
            Some(("x-api-key", format!("{ADMIN_KEY} x"))),
            Some(("authorization", "Bearer wrong".to_owned())),
            Some(("authorization", format!("Basic {ADMIN_KEY}"))),
        ];
        for header in wrong {
            let response = call(&client, &operation, header.clone()).await;
            response.assert_header("www-authenticate", "Bearer realm=\"vpnmanager\"");
            let (problem, _) = problem_of(response, StatusCode::UNAUTHORIZED).await;
            assert!(
                !problem.to_string().contains(ADMIN_KEY),
                "{operation:?} {header:?}: {problem}"
            );
        }
    }
    let listed = stack.client().get("/api/users").admin().send().await;
    assert_eq!(
        json_of(listed, StatusCode::OK).await["items"],
        json!([]),
        "a refused request changed something"
    );
}

#[tokio::test]
async fn the_admin_key_opens_everything_in_either_header() {
    let stack = Stack::start().await;
    let client = stack.client();
    for operation in operations() {
        for header in [
            ("x-api-key", ADMIN_KEY.to_owned()),
            ("authorization", format!("Bearer {ADMIN_KEY}")),
        ] {
            let status = call(&client, &operation, Some(header)).await.0.status();
            assert!(
                ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status),
                "{operation:?}: {status}"
            );
            assert_ne!(status, StatusCode::INTERNAL_SERVER_ERROR, "{operation:?}");
        }
    }
}

#[tokio::test]
async fn a_key_of_the_node_role_registers_nodes_and_speaks_for_none_of_them() {
    let stack = Stack::start().await;
    stack.add_key("node-key", Role::Node).await;
    let client = stack.client();
    for operation in operations() {
        let status = call(&client, &operation, Some(("x-api-key", "node-key".to_owned())))
            .await
            .0
            .status();
        let expected = match operation.2.as_str() {
            "get_health" | "get_life" | "get_readiness" => StatusCode::OK,
            "register_endnode" => StatusCode::CREATED,
            // No caller sends a signature.
            "tell_endnode_standing" => StatusCode::BAD_REQUEST,
            _ => StatusCode::FORBIDDEN,
        };
        assert_eq!(status, expected, "{operation:?}");
    }
}

#[tokio::test]
async fn an_expired_key_is_no_key() {
    use sea_orm::{ActiveValue::Set, EntityTrait as _};
    use vpnmanager_entities::api_key;
    let stack = Stack::start().await;
    let row = api_key::ActiveModel {
        name: Set("old".to_owned()),
        hash: Set(vpnmanager_openapi::auth::hash_key("old-key").to_vec()),
        role: Set(Role::Admin),
        expires_at: Set(Some(chrono::Utc::now())),
        ..Default::default()
    };
    api_key::Entity::insert(row)
        .exec_without_returning(&stack.app.db)
        .await
        .expect("recorded");
    problem_of(
        stack.client().get("/api/users").key("old-key").send().await,
        StatusCode::UNAUTHORIZED,
    )
    .await;
}

#[tokio::test]
async fn the_documents_need_no_key_and_nothing_from_outside() {
    let stack = Stack::start().await;
    let text = async |path: &str| {
        let response = stack.client().get(path).send().await;
        response.assert_status_is_ok();
        response.0.into_body().into_string().await.expect("text")
    };
    assert_eq!(text("/openapi.json").await, api::spec().json());
    assert_eq!(text("/openapi.yaml").await, api::spec().yaml());
    let page = text("/docs").await;
    for reference in ["src=\"http", "href=\"http", "@import"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[tokio::test]
async fn health_says_what_is_away() {
    let stack = Stack::start().await;
    let healthy = json_of(stack.client().get("/health").send().await, StatusCode::OK).await;
    assert_eq!(
        (&healthy["status"], &healthy["server_id"]),
        (&json!("ok"), &json!("management-test"))
    );

    stack.nats.kill().await;
    let client = stack.client();
    let detail = wait::until_some(Duration::from_secs(10), "health to notice", async || {
        let response = client.get("/health").send().await;
        if response.0.status() == StatusCode::OK {
            return None;
        }
        response.assert_header("retry-after", "1");
        let (problem, _) = problem_of(response, StatusCode::SERVICE_UNAVAILABLE).await;
        // Until the cause is found.
        let is_explained = problem["detail"].as_str().is_some_and(|said| said.contains('('));
        is_explained.then(|| problem["detail"].clone())
    });
    let bus_is_away = format!(
        "the bus is not connected ({}: Connection refused): see that nats-server runs there, and that NATS_URL names it",
        stack.nats.tls_url()
    );
    assert_eq!(detail.await.expect("in time"), bus_is_away);

    stack.app.db.clone().close().await.expect("closed");
    let told = format!(
        "the database at {} does not answer: Connection closed",
        stack.app.reach.place()
    );
    // An answer of the database is shared for a moment.
    let noticed = wait::until(Duration::from_secs(10), "health to notice", async || {
        let response = client.get("/health").send().await;
        let (problem, _) = problem_of(response, StatusCode::SERVICE_UNAVAILABLE).await;
        problem["detail"] == format!("{told}, and {bus_is_away}")
    });
    noticed.await.expect("in time");
    let (problem, _) = problem_of(
        client.get("/api/users").admin().send().await,
        StatusCode::SERVICE_UNAVAILABLE,
    )
    .await;
    assert_eq!(problem["detail"], told);
}

/// As after a failover, when management is left with the standby.
#[tokio::test]
async fn a_database_that_is_read_only_is_named() {
    let stack = Stack::start().await;
    let client = stack.client();
    let make = async |read_only: &str| {
        let change = format!(
            "BEGIN READ WRITE;
             DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {read_only}', current_database()); END $$;
             COMMIT;
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        );
        let db = database::connect(stack.config.database.connection_url().expose_secret()).await;
        database::run(&db, &change).await;
        db.close().await.expect("closed");
    };
    let health = async || client.get("/health").send().await.0.status();
    let told = format!(
        "the database at {} takes no changes: it is read-only, as a standby is; let DB_HOST or DATABASE_URL name the primary",
        stack.app.reach.place()
    );

    make("on").await;
    let noticed = wait::until(Duration::from_secs(10), "health to notice", async || {
        let response = client.get("/health").send().await;
        if response.0.status() == StatusCode::OK {
            return false;
        }
        problem_of(response, StatusCode::SERVICE_UNAVAILABLE).await.0["detail"] == told
    });
    noticed.await.expect("in time");
    // A connection that was being made while the database became read-only takes changes still.
    let is_told = wait::until(Duration::from_secs(10), "a create to be told", async || {
        let create = client
            .post("/api/users")
            .admin()
            .body_json(&json!({ "username": "alice" }));
        let response = create.send().await;
        if response.0.status() == StatusCode::CONFLICT {
            return false;
        }
        problem_of(response, StatusCode::SERVICE_UNAVAILABLE).await.0["detail"] == told
    });
    is_told.await.expect("in time");
    // That the key was used is not noted, and it may read all the same.
    let list = client.get("/api/users").admin().send().await;
    assert_eq!(list.0.status(), StatusCode::OK);

    make("off").await;
    let back = wait::until(Duration::from_secs(10), "health to notice", async || {
        health().await == StatusCode::OK
    });
    back.await.expect("in time");
}
