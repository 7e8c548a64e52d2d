//! `/health/live` and `/health/ready`: what an orchestrator and a load balancer ask.

use poem::http::StatusCode;
use serde_json::json;
use vpnmanager_testbed::wait;

use crate::database::{connect, fresh_database, run};
use crate::process;
use crate::queries::Queries;
use crate::stack::{Stack, json_of, problem_of};

#[tokio::test]
async fn a_replica_without_its_database_lives_and_takes_no_requests() {
    let (way, url) = Queries::counted(&fresh_database().await).await;
    let stack = Stack::start_on(&url, &[]).await;
    let client = stack.client();
    let ready = json_of(client.get("/health/ready").send().await, StatusCode::OK).await;
    assert_eq!(ready, json!({ "status": "ready" }));

    drop(way);

    let told = format!(
        "the database at {} does not answer: Connection refused",
        stack.app.reach.place()
    );
    let noticed = wait::until(wait::SOON, "the outage to be told", async || {
        let response = client.get("/health/ready").send().await;
        if response.0.status() == StatusCode::OK {
            return false;
        }
        response.assert_header("retry-after", "1");
        problem_of(response, StatusCode::SERVICE_UNAVAILABLE).await.0["detail"] == told
    });
    noticed.await.expect("in time");
    let alive = json_of(client.get("/health/live").send().await, StatusCode::OK).await;
    assert_eq!(alive, json!({ "status": "alive" }));
}

#[tokio::test]
async fn a_replica_without_the_bus_takes_requests_and_one_that_stops_does_not() {
    let stack = Stack::start().await;
    let client = stack.client();
    stack.nats.kill().await;
    let noticed = wait::until(wait::SOON, "health to notice", async || {
        client.get("/health").send().await.0.status() == StatusCode::SERVICE_UNAVAILABLE
    });
    noticed.await.expect("in time");
    client.get("/health/ready").send().await.assert_status_is_ok();

    stack.tasks.stop();
    let stopping = client.get("/health/ready").send().await;
    let (problem, _) = problem_of(stopping, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(
        problem["detail"].as_str().is_some_and(|why| why.contains("stopping")),
        "{problem}"
    );
    client.get("/health/live").send().await.assert_status_is_ok();
}

#[tokio::test]
async fn a_replica_that_waits_for_a_decision_after_a_restore_lives_and_takes_no_requests() {
    let url = fresh_database().await;
    let undecided = "INSERT INTO restorations (made_at, source) VALUES ('2026-12-01', 'last-week.age')";
    run(&connect(&url).await, undecided).await;
    let waiting = process::start_waiting(&url).await;
    let ask = async |path: &str| reqwest::get(format!("http://{}{path}", waiting.address)).await.ok();
    let alive = wait::until_some(wait::SOON, "an answer", async || ask("/health/live").await);
    let alive = alive.await.expect("answered");
    assert_eq!(alive.status(), 200);
    assert_eq!(
        alive.json::<serde_json::Value>().await.expect("JSON")["status"],
        "alive"
    );
    let ready = ask("/health/ready").await.expect("answered");
    assert_eq!(ready.status(), 503);
}
