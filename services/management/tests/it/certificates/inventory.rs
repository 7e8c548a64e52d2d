//! `GET /api/certificates`.

use poem::http::StatusCode;
use serde_json::Value;
use vpnmanager_management::ops::certificates::record_own::record_own;

use super::{certified, started};
use crate::database::{number, run};
use crate::ops::{enrol, fleet};
use crate::stack::{Stack, WithKey as _, get, json_of};

async fn listed(stack: &Stack, query: &str) -> Vec<Value> {
    let page = get(stack, &format!("/api/certificates?{query}")).await;
    page["items"].as_array().expect("items").clone()
}

fn words(items: &[Value], field: &str) -> Vec<String> {
    let words = items.iter().map(|item| item[field].as_str().unwrap_or("-").to_owned());
    words.collect()
}

#[tokio::test]
async fn every_kind_is_listed_and_the_one_that_ends_first_is_the_first() {
    let stack = started().await;
    enrol(&stack, "node-1").await;
    certified(&stack, "node-1", "alice").await;
    run(
        &stack.app.db,
        "UPDATE credentials SET not_after = now() + interval '50 hours';
         UPDATE certificates SET not_after = now() + interval '7 days' WHERE kind = 'node'",
    )
    .await;

    let all = listed(&stack, "").await;
    let kinds = words(&all, "kind");
    assert_eq!(kinds[..2], ["client", "node"], "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "bus").count(), 2);
    assert_eq!(kinds.iter().filter(|kind| *kind == "ca").count(), 1);
    assert_eq!(kinds.len(), 5);

    let client = &all[0];
    assert_eq!(
        (
            &client["username"],
            &client["device"],
            &client["server_id"],
            &client["days_left"]
        ),
        (&"alice".into(), &"default".into(), &"node-1".into(), &2.into())
    );
    assert!(
        client["subject"]
            .as_str()
            .is_some_and(|name| name.starts_with("CN=alice."))
    );
    assert_eq!((client.get("renews_at"), &client["state"]), (None, &"valid".into()));
    for (field, length) in [("serial", 32), ("fingerprint", 64)] {
        assert_eq!(client[field].as_str().map(str::len), Some(length), "{client}");
    }
    let ca = all.iter().find(|one| one["kind"] == "ca").expect("the authority");
    assert_eq!(ca["fingerprint"], stack.app.pki.ca_fingerprint());
    assert_eq!(client["issuer"], ca["subject"]);
    let node = &all[1];
    assert!(node["renews_at"].is_string() && node["server_id"] == "node-1", "{node}");
}

#[tokio::test]
async fn pages_lead_through_all_of_them_also_where_many_end_at_the_same_moment() {
    let stack = started().await;
    enrol(&stack, "node-1").await;
    for name in ["alice", "bob", "carol", "dave"] {
        certified(&stack, "node-1", name).await;
    }
    run(
        &stack.app.db,
        "UPDATE credentials SET not_after = '2999-01-01T00:00:00Z'; UPDATE certificates SET not_after = '2999-01-01T00:00:00Z'",
    )
    .await;
    let (mut path, mut seen) = ("/api/certificates?limit=3".to_owned(), Vec::new());
    loop {
        let page = json_of(stack.client().get(&path).admin().send().await, StatusCode::OK).await;
        let items = page["items"].as_array().expect("items").clone();
        assert!((1..=3).contains(&items.len()), "{page}");
        seen.extend(words(&items, "fingerprint"));
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/certificates?limit=3&cursor={next}");
    }
    let count = seen.len();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((count, seen.len()), (8, 8));
}

#[tokio::test]
async fn filters_leave_those_that_match_all_of_them() {
    let stack = fleet(2).await;
    for (id, name) in [("node-1", "alice"), ("node-1", "bob")] {
        run(&stack.app.db, "UPDATE servers SET enabled = (name = 'node-1')").await;
        certified(&stack, id, name).await;
    }
    run(
        &stack.app.db,
        "UPDATE credentials SET revoked_at = now() WHERE common_name LIKE 'bob.%';
         UPDATE certificates SET not_after = now() - interval '1 day' WHERE server_id = 'node-2'",
    )
    .await;
    let cases: [(&str, &[&str]); 11] = [
        ("kind=client", &["client", "client"]),
        ("kind=client&state=revoked", &["client"]),
        ("state=revoked&kind=node", &[]),
        ("username=alice", &["client"]),
        ("username=alice&kind=ca", &[]),
        ("username=nobody", &[]),
        ("server_id=node-2", &["node"]),
        ("server_id=node-1&state=valid", &["client", "node"]),
        ("state=expired", &["node"]),
        ("state=replaced", &[]),
        ("expires_before=1999-01-01T00:00:00Z", &[]),
    ];
    for (query, kinds) in cases {
        let mut found = words(&listed(&stack, query).await, "kind");
        found.sort_unstable();
        assert_eq!(found, kinds, "{query}");
    }
    for query in ["kind=server", "state=dead", "cursor=1", "expires_before=soon"] {
        let response = stack
            .client()
            .get(format!("/api/certificates?{query}"))
            .admin()
            .send()
            .await;
        response.assert_status(StatusCode::BAD_REQUEST);
    }
}

#[tokio::test]
async fn what_is_recorded_again_stays_one_certificate() {
    let stack = started().await;
    for _ in 0..2 {
        record_own(&stack.app).await.expect("recorded");
    }
    let own = "SELECT count(*) FROM certificates WHERE replaced_at IS NULL";
    assert_eq!(number(&stack.app.db, own).await, 3);
}
