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
     \"path.server_id\" = \"node-1\"\n\"path.id\" = \"019acf00-0000-7000-8000-000000000001\"\n";

/// Take CSV, archives and databases, which the tool cannot make. `api_bulk` and `api_imports` of management try them.
const OF_FILES: [&str; 2] = ["import_users", "import_source"];

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
    let key = key_header(&site);
    let reads = check(&tool, &api, PRESENT, &["--header", &key, "--include-method", "GET"]).await;
    assert!(reads.holds && !reads.text.contains("404 Not Found"), "{}", reads.text);
    // Whatever it creates, changes and removes, the node and the user included.
    let without = OF_FILES
        .iter()
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

/// Tries a service by its own description. `settings`: a configuration of Schemathesis.
async fn check(tool: &Schemathesis, api: &Api, settings: &str, args: &[&str]) -> Findings {
    let scratch = Scratch::guarded(Medium::Memory).expect("a folder");
    fs::write(scratch.dir().join("schemathesis.toml"), settings).expect("written");
    let description = format!("{}/openapi.json", api.base());
    tool.run(scratch.dir(), (&description, api.base()), args)
        .await
        .expect("a run")
}

/// What it prints when it has tried each operation.
async fn tested(api: &Api) -> String {
    let description = api.get("/openapi.json").await.expect("its description").body;
    let paths = description["paths"].as_object().expect("paths");
    let operations = paths
        .values()
        .filter_map(Value::as_object)
        .flat_map(|path| path.values());
    let tried = operations.filter(|operation| OF_FILES.iter().all(|name| operation["operationId"] != *name));
    format!("Tested: {}", tried.count())
}

fn key_header(site: &Site) -> String {
    format!("X-API-Key: {}", site.stack.state().api_key)
}
