//! Both services answer as their API descriptions say, whatever they are asked.

use std::fs;

use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};
use vpnmanager_testbed::{
    api::Api,
    schemathesis::{Findings, Schemathesis, require_schemathesis},
    scratch::{Medium, Scratch},
};

use crate::main_job::site::Site;

/// The id of an import that is there.
const IMPORT: &str = "019acf00-0000-7000-8000-000000000001";

/// What `GET` routes are asked for, so that they find something.
const PRESENT: &str = "[parameters]\n\"path.username\" = \"alice\"\n\"path.device\" = \"default\"\n\"path.group\" = \"default\"\n\
     \"path.server_id\" = \"node-1\"\n\"path.key_id\" = 1\n\"path.id\" = \"019acf00-0000-7000-8000-000000000001\"\n\"path.webhook\" = 1000\n";

/// The first take CSV, archives and databases, which the tool cannot make; the answer of the last does not end. `api_bulk`, `api_imports` and
/// `events` of management try them.
const NOT_TRIED: [&str; 3] = ["import_users", "import_source", "stream_events"];

/// Finds what was deleted before, and is right: a revoked key stays in the list. So it is not tried together with the deletion.
const OF_KEPT: &str = "get_api_key";

#[tokio::test]
async fn management_answers_as_its_description_says() {
    let Some(tool) = require_schemathesis("the description of management's API") else {
        return;
    };
    let site = Site::without_tunnels(2).await;
    site.create("alice").await;
    let api = site.stack.api();
    // So that there is one of each to be read.
    let begun = api.post("/api/endnodes/node-1/reissue", &json!({})).await.unwrap();
    begun.expect(202).unwrap();
    has_had_a_rollout(&site).await;
    has_had_an_import(&site).await;
    has_a_webhook(&site).await;
    let key = key_header(&site);
    let of_reads = [
        "--header",
        &key,
        "--include-method",
        "GET",
        "--exclude-operation-id",
        "stream_events",
    ];
    let reads = check(&tool, &api, PRESENT, &of_reads).await;
    assert!(reads.holds && !reads.text.contains("404 Not Found"), "{}", reads.text);
    // Whatever it creates, changes and removes, the node and the user included.
    let without = NOT_TRIED
        .into_iter()
        .chain([OF_KEPT])
        .flat_map(|operation| ["--exclude-operation-id", operation]);
    let args: Vec<&str> = ["--header", &key].into_iter().chain(without).collect();
    let all = check(&tool, &api, "", &args).await;
    assert!(all.holds && all.text.contains(&tested(&api).await), "{}", all.text);
}

/// Records a rollout that has ended: these nodes run no OpenVPN, so management would begin none.
async fn has_had_a_rollout(site: &Site) {
    let db = site.stack.connect_database().await.expect("connected");
    let ended = "WITH ended AS (
            INSERT INTO rollouts (pool, pool_id, state, drain, drain_for_seconds, actor, ended_at)
            SELECT name, id, 'done', true, 600, 'operator', now() FROM pools WHERE name = 'default' RETURNING id
        )
        INSERT INTO rollout_nodes (rollout_id, server_id, state) SELECT id, 'node-1', 'done' FROM ended";
    let recorded = db.execute_unprepared(ended).await.expect("recorded");
    assert_eq!(recorded.rows_affected(), 1);
}

/// Records an import: the tool cannot make a source.
async fn has_had_an_import(site: &Site) {
    let db = site.stack.connect_database().await.expect("connected");
    let report = json!({
        "id": IMPORT, "node": "node-1", "source": "old", "sha256": "0".repeat(64), "kinds": ["CSV"],
        "counts": {
            "created": 0, "joined": 0, "changed": 0, "unchanged": 0, "conflicts": 0, "skipped": 0, "old_certificates": 0
        },
        "authority": null, "server": null, "entries": [], "entries_left_out": 0, "remarks": [],
    });
    let done = format!(
        "INSERT INTO imports (id, server_id, source, sha256, actor, started_at, finished_at, report)
         VALUES ('{IMPORT}', 'node-1', 'old', repeat('0', 64), 'operator', now(), now(), '{report}')"
    );
    let recorded = db.execute_unprepared(&done).await.expect("recorded");
    assert_eq!(recorded.rows_affected(), 1);
}

/// Records a webhook to which nothing is sent.
async fn has_a_webhook(site: &Site) {
    let db = site.stack.connect_database().await.expect("connected");
    let disabled = "INSERT INTO webhooks (id, url, enabled, secret, position, created_by)
         VALUES (1000, 'https://hooks.example.com/', false, 'sealed', 0, 'operator')";
    let recorded = db.execute_unprepared(disabled).await.expect("recorded");
    assert_eq!(recorded.rows_affected(), 1);
}

#[tokio::test]
async fn an_agent_answers_as_its_description_says() {
    let Some(tool) = require_schemathesis("the description of a node's API") else {
        return;
    };
    let site = Site::without_tunnels(1).await;
    site.create("alice").await;
    let (api, key) = (site.stack.node(1).unwrap().api(), key_header(&site));
    let all = check(&tool, &api, "", &["--header", &key]).await;
    assert!(all.holds && all.text.contains(&tested(&api).await), "{}", all.text);
}

#[tokio::test]
async fn an_answer_that_differs_from_the_description_is_found() {
    let Some(tool) = require_schemathesis("a wrong description") else {
        return;
    };
    let site = Site::without_tunnels(1).await;
    let (api, key) = (site.stack.node(1).unwrap().api(), key_header(&site));
    let mut description = api.get("/openapi.json").await.unwrap().body;
    let responses = &mut description["paths"]["/api/users/{username}"]["get"]["responses"];
    responses.as_object_mut().unwrap().remove("404").unwrap();
    let scratch = Scratch::guarded(Medium::Memory).unwrap();
    let file = scratch.dir().join("wrong.json");
    fs::write(&file, description.to_string()).unwrap();
    let only = ["--header", &key, "--include-name", "GET /api/users/{username}"];
    let found = tool
        .run(scratch.dir(), (file.to_str().unwrap(), api.base()), &only)
        .await
        .unwrap();
    assert!(
        !found.holds && found.text.contains("Undocumented status code"),
        "{}",
        found.text
    );
}

/// Tries a service by its own description, without `Idempotency-Key`: the tool would give different requests one key, which is 422, or be given
/// an answer of before. `idempotency` of management tries it. `settings`: a configuration of Schemathesis.
async fn check(tool: &Schemathesis, api: &Api, settings: &str, args: &[&str]) -> Findings {
    let scratch = Scratch::guarded(Medium::Memory).expect("a folder");
    fs::write(scratch.dir().join("schemathesis.toml"), settings).expect("written");
    let mut description = api.get("/openapi.json").await.expect("its description").body;
    let paths = description["paths"].as_object_mut().expect("paths").values_mut();
    let operations = paths
        .filter_map(Value::as_object_mut)
        .flat_map(|path| path.values_mut());
    for parameters in operations.filter_map(|operation| operation.get_mut("parameters")?.as_array_mut()) {
        parameters.retain(|parameter| parameter["name"] != "Idempotency-Key");
    }
    let file = scratch.dir().join("description.json");
    fs::write(&file, description.to_string()).expect("written");
    let file = file.to_str().expect("a path of characters");
    tool.run(scratch.dir(), (file, api.base()), args).await.expect("a run")
}

/// What it prints when it has tried each operation.
async fn tested(api: &Api) -> String {
    let description = api.get("/openapi.json").await.expect("its description").body;
    let paths = description["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .filter_map(Value::as_object)
        .flat_map(|path| path.values());
    let tried = operations.filter(|operation| {
        NOT_TRIED
            .iter()
            .chain([&OF_KEPT])
            .all(|name| operation["operationId"] != *name)
    });
    format!("Tested: {}", tried.count())
}

fn key_header(site: &Site) -> String {
    format!("X-API-Key: {}", site.stack.state().api_key)
}
