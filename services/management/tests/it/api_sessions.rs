//! Live sessions over HTTP, with nodes that are honest, away, old or hostile.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use poem::http::StatusCode;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::{Value, json};
use vpnmanager_entities::audit_log;
use vpnmanager_nats::{
    envelope::Envelope,
    ids::CommonName,
    node_requests::{LiveSession, NodeAnswer, NodeRequest, SESSIONS_PAGE},
};

use crate::bus_node::{answer_requests, connect_as};
use crate::session_history::credential_of;
use crate::stack::{Stack, WithKey as _, get, problem_of};

/// An OpenVPN as its agent tells of it: ended sessions are gone.
pub(crate) type Connected = Arc<Mutex<Vec<LiveSession>>>;

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a time")
}

pub(crate) fn session(common_name: &CommonName, cid: u64) -> LiveSession {
    LiveSession {
        common_name: common_name.clone(),
        cid: Some(cid),
        real_address: format!("192.0.2.1:{}", 50_000 + cid % 1000),
        virtual_address: Some("10.8.0.2".to_owned()),
        virtual_address6: None,
        bytes_in: 5_000_000_000,
        bytes_out: 7,
        since: noon() + TimeDelta::seconds(i64::try_from(cid).expect("small")),
        client_version: Some("2.6.14".to_owned()),
        client_platform: None,
        listener: None,
    }
}

/// Answers as an agent does, from what is connected.
fn honest(connected: &Connected, request: &NodeRequest) -> NodeAnswer {
    let mut connected = connected.lock().expect("unpoisoned");
    match request {
        NodeRequest::Sessions { offset } => {
            let rest = connected.iter().skip(usize::try_from(*offset).expect("small"));
            let mut page: Vec<LiveSession> = rest.take(SESSIONS_PAGE + 1).cloned().collect();
            let more = page.len() > SESSIONS_PAGE;
            page.truncate(SESSIONS_PAGE);
            NodeAnswer::Sessions { sessions: page, more }
        }
        NodeRequest::Disconnect { cid, since } => {
            let is_it = |session: &LiveSession| (session.cid, session.since) == (Some(*cid), *since);
            match connected.iter().position(is_it) {
                Some(place) => NodeAnswer::Disconnected {
                    common_name: connected.remove(place).common_name,
                },
                None => NodeAnswer::NotFound {
                    detail: "that session has ended".to_owned(),
                },
            }
        }
        NodeRequest::Sync => NodeAnswer::Done,
        other @ (NodeRequest::Profile { .. }
        | NodeRequest::Drain { .. }
        | NodeRequest::Apply { .. }
        | NodeRequest::RestartServer { .. }
        | NodeRequest::Users { .. }
        | NodeRequest::Retire { .. }) => panic!("{other:?}"),
    }
}

/// Tells these sessions, and that there are more.
fn tells(request: &NodeRequest, sessions: &[LiveSession]) -> NodeAnswer {
    if let NodeRequest::Sessions { .. } = request {
        return NodeAnswer::Sessions {
            sessions: sessions.to_vec(),
            more: true,
        };
    }
    NodeAnswer::Done
}

/// Enrols a node whose agent answers so.
async fn node(stack: &Stack, id: &str, answer: impl Fn(&NodeRequest) -> NodeAnswer + Send + 'static) {
    let bus = connect_as(stack, id).await;
    answer_requests(stack, id, bus, move |request| Envelope::new(answer(&request)).encode()).await;
}

pub(crate) async fn honest_node(stack: &Stack, id: &str) -> Connected {
    let connected = Connected::default();
    let told = Arc::clone(&connected);
    node(stack, id, move |request| honest(&told, request)).await;
    connected
}

/// The ids of what a page lists.
pub(crate) fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().expect("items");
    items
        .iter()
        .map(|session| session["id"].as_str().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn the_sessions_of_all_nodes_are_one_list_that_says_who_is_missing() {
    let stack = Stack::start().await;
    let first = honest_node(&stack, "node-1").await;
    let second = honest_node(&stack, "node-2").await;
    stack.enrol("node-away").await;
    let (alice, bob) = (credential_of(&stack, "alice").await, credential_of(&stack, "bob").await);
    first
        .lock()
        .expect("unpoisoned")
        .extend([session(&alice, 1), session(&bob, 3)]);
    let foreign: CommonName = "mallory.x".parse().expect("a name");
    second
        .lock()
        .expect("unpoisoned")
        .extend([session(&alice, 2), session(&foreign, 4)]);

    let all = get(&stack, "/api/sessions").await;
    assert_eq!(
        ids(&all),
        [
            "node-2.1795000004.4",
            "node-1.1795000003.3",
            "node-2.1795000002.2",
            "node-1.1795000001.1"
        ]
    );
    assert_eq!(
        all["missing"],
        json!([{ "server_id": "node-away", "reason": "it cannot be reached" }])
    );
    assert_eq!(
        all["items"][3],
        json!({
            "id": "node-1.1795000001.1",
            "username": "alice",
            "device": "default",
            "common_name": alice,
            "server_id": "node-1",
            "since": "2026-11-18T11:06:41Z",
            "real_address": "192.0.2.1:50001",
            "virtual_address": "10.8.0.2",
            "bytes_in": 5_000_000_000_u64,
            "bytes_out": 7,
            "client_version": "2.6.14",
        })
    );
    for absent in ["username", "device"] {
        assert_eq!(all["items"][0].get(absent), None, "a credential that nobody has");
    }

    for (path, expected) in [
        (
            "/api/sessions?username=alice",
            vec!["node-2.1795000002.2", "node-1.1795000001.1"],
        ),
        (
            "/api/users/alice/sessions",
            vec!["node-2.1795000002.2", "node-1.1795000001.1"],
        ),
        (
            "/api/sessions?server_id=node-1",
            vec!["node-1.1795000003.3", "node-1.1795000001.1"],
        ),
        (
            "/api/endnodes/node-1/sessions",
            vec!["node-1.1795000003.3", "node-1.1795000001.1"],
        ),
        (
            "/api/sessions?server_id=node-1&username=bob",
            vec!["node-1.1795000003.3"],
        ),
        (
            "/api/sessions?address=10.8.0.2&server_id=node-1",
            vec!["node-1.1795000003.3", "node-1.1795000001.1"],
        ),
        (
            "/api/sessions?address=192.0.2.1&username=bob",
            vec!["node-1.1795000003.3"],
        ),
        ("/api/sessions?address=10.8.0.3", vec![]),
        ("/api/sessions?username=nobody", vec![]),
        ("/api/sessions?server_id=nowhere", vec![]),
    ] {
        assert_eq!(ids(&get(&stack, path).await), expected, "{path}");
    }
    let one = get(&stack, "/api/endnodes/node-1/sessions").await;
    assert_eq!(one["missing"], json!([]), "the others were not asked for");
    for path in ["/api/users/nobody/sessions", "/api/endnodes/nowhere/sessions"] {
        problem_of(stack.client().get(path).admin().send().await, StatusCode::NOT_FOUND).await;
    }
    for path in [
        "/api/sessions?cursor=7",
        "/api/sessions?limit=0",
        "/api/sessions?user=alice",
    ] {
        problem_of(stack.client().get(path).admin().send().await, StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_session_says_its_listener_and_is_found_by_it() {
    let stack = Stack::start().await;
    let first = honest_node(&stack, "node-1").await;
    let second = honest_node(&stack, "node-2").await;
    let alice = credential_of(&stack, "alice").await;
    let on = |cid: u64, listener: &str| LiveSession {
        listener: Some(listener.parse().expect("a listener")),
        ..session(&alice, cid)
    };
    // The number of the second listener of a node begins at 2^40.
    let over_tcp = LiveSession {
        cid: Some((1 << 40) + 2),
        ..on(2, "tcp:443")
    };
    first
        .lock()
        .expect("unpoisoned")
        .extend([on(1, "udp:1194"), over_tcp, session(&alice, 3)]);
    second.lock().expect("unpoisoned").push(on(4, "tcp:443"));

    let all = get(&stack, "/api/sessions").await;
    let listeners: Vec<Option<&str>> = all["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|session| session["listener"].as_str())
        .collect();
    assert_eq!(
        listeners,
        [Some("tcp:443"), None, Some("tcp:443"), Some("udp:1194")],
        "an agent of before listeners says none"
    );

    let tcp_of_first = "node-1.1795000002.1099511627778";
    for (path, expected) in [
        (
            "/api/sessions?listener=tcp:443",
            vec!["node-2.1795000004.4", tcp_of_first],
        ),
        ("/api/sessions?listener=udp:1194", vec!["node-1.1795000001.1"]),
        ("/api/sessions?listener=udp:443", vec![]),
        ("/api/sessions?listener=tcp:443&server_id=node-1", vec![tcp_of_first]),
        ("/api/endnodes/node-1/sessions?listener=tcp:443", vec![tcp_of_first]),
        (
            "/api/users/alice/sessions?listener=udp:1194",
            vec!["node-1.1795000001.1"],
        ),
    ] {
        assert_eq!(ids(&get(&stack, path).await), expected, "{path}");
    }
    for path in [
        "/api/sessions?listener=443",
        "/api/endnodes/node-1/sessions?listener=tcp:0",
        "/api/users/alice/sessions?listener=udp:1194,tcp:443",
    ] {
        let answer = stack.client().get(path).admin().send().await;
        let (_, fields) = problem_of(answer, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["listener"], "{path}");
    }

    let client = stack.client();
    let ended = client
        .delete(format!("/api/sessions/{tcp_of_first}"))
        .admin()
        .send()
        .await;
    ended.assert_status(StatusCode::NO_CONTENT);
    let left = get(&stack, "/api/sessions?listener=tcp:443").await;
    assert_eq!(ids(&left), ["node-2.1795000004.4"]);
}

#[tokio::test]
async fn pages_follow_on_each_other_while_clients_come_and_go() {
    let stack = Stack::start().await;
    let connected = honest_node(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let many = 2 * SESSIONS_PAGE as u64 + 5;
    connected
        .lock()
        .expect("unpoisoned")
        .extend((1..=many).map(|cid| session(&alice, cid)));

    let (mut seen, mut path) = (Vec::new(), "/api/sessions?limit=100".to_owned());
    loop {
        let page = get(&stack, &path).await;
        seen.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/sessions?limit=100&cursor={cursor}");
        let mut connected = connected.lock().expect("unpoisoned");
        let newest = connected.last().expect("some").cid.expect("a number");
        connected.push(session(&alice, newest + 1));
        // The last of the page before: what follows is found without it.
        connected.retain(|session| !cursor.ends_with(&format!(".{}", session.cid.expect("a number"))));
    }
    let expected: Vec<String> = (1..=many)
        .rev()
        .map(|cid| {
            format!(
                "node-1.{}.{cid}",
                noon().timestamp() + i64::try_from(cid).expect("small")
            )
        })
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_session_is_ended_once_and_the_trail_says_by_whom() {
    let stack = Stack::start().await;
    let connected = honest_node(&stack, "node-1").await;
    stack.enrol("node-away").await;
    let alice = credential_of(&stack, "alice").await;
    connected
        .lock()
        .expect("unpoisoned")
        .extend([session(&alice, 1), session(&alice, 2)]);
    let end = async |id: &str| {
        let client = stack.client();
        client.delete(format!("/api/sessions/{id}")).admin().send().await
    };

    end("node-1.1795000001.1").await.assert_status(StatusCode::NO_CONTENT);
    assert_eq!(ids(&get(&stack, "/api/sessions").await), ["node-1.1795000002.2"]);
    let rows = audit_log::Entity::find()
        .filter(audit_log::Column::Action.eq("session_ended"))
        .all(&stack.app.db)
        .await
        .expect("read");
    let [row] = rows.as_slice() else {
        panic!("{rows:?}");
    };
    assert_eq!(
        (row.username.as_deref(), row.server_id.as_str(), &row.after),
        (
            Some("alice"),
            "node-1",
            &Some(json!({ "session": "node-1.1795000001.1", "common_name": alice, "device": "default" }))
        )
    );
    assert!(row.actor.starts_with("key:"), "{row:?}");

    for id in ["node-1.1795000001.1", "node-1.1795000001.2", "nowhere.1795000001.1"] {
        problem_of(end(id).await, StatusCode::NOT_FOUND).await;
    }
    let (problem, _) = problem_of(end("node-away.1795000001.1").await, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(
        problem.to_string().contains("server node-away cannot be reached"),
        "{problem}"
    );
    for id in ["node-1", "node-1.1795000001.-1", "node-1.1795000001.1.1"] {
        let (_, fields) = problem_of(end(id).await, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, ["id"], "{id}");
    }
}

#[tokio::test]
async fn what_a_node_says_wrongly_harms_only_its_own_sessions() {
    let stack = Stack::start().await;
    let connected = honest_node(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    // None of these holds a user: what places users is undone below.
    let endless = (0..SESSIONS_PAGE as u64).map(|cid| session(&alice, cid)).collect();
    let old = LiveSession {
        cid: None,
        ..session(&alice, 1)
    };
    let twice = vec![session(&alice, 9), session(&alice, 9)];
    for (id, told) in [("node-endless", endless), ("node-old", vec![old]), ("node-liar", twice)] {
        node(&stack, id, move |request| tells(request, &told)).await;
    }
    node(&stack, "node-odd", |_| NodeAnswer::Done).await;
    let unplace = "DELETE FROM placements WHERE server_id <> 'node-1'";
    stack.app.db.execute_unprepared(unplace).await.expect("deleted");
    connected.lock().expect("unpoisoned").push(session(&alice, 1));

    let all = get(&stack, "/api/sessions").await;
    assert_eq!(ids(&all), ["node-liar.1795000009.9", "node-1.1795000001.1"]);
    assert_eq!(all["items"][0].get("username"), None, "it does not hold her");
    assert_eq!(all["items"][1]["username"], "alice");
    let missing = all["missing"].as_array().expect("a list");
    let reasons: Vec<(&str, bool)> = [
        (
            "node-endless",
            &["it tells of more than 65536 sessions", "it did not tell all within 3 s"][..],
        ),
        ("node-odd", &["it answered another request"][..]),
        (
            "node-old",
            &["its agent is older than this management and does not number its sessions: update the agent"][..],
        ),
    ]
    .into_iter()
    .map(|(node, reasons)| {
        let told = missing.iter().find(|server| server["server_id"] == node);
        let told = told.and_then(|server| server["reason"].as_str()).unwrap_or_default();
        (node, reasons.contains(&told))
    })
    .collect();
    assert_eq!(
        (missing.len(), reasons),
        (3, vec![("node-endless", true), ("node-odd", true), ("node-old", true)]),
        "{missing:?}"
    );
    let hers = get(&stack, "/api/users/alice/sessions").await;
    assert_eq!(
        (ids(&hers), &hers["missing"]),
        (vec!["node-1.1795000001.1".to_owned()], &json!([]))
    );
    let client = stack.client();
    let end = client
        .delete("/api/sessions/node-odd.1795000009.9")
        .admin()
        .send()
        .await;
    let (problem, _) = problem_of(end, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(problem.to_string().contains("it answered another request"), "{problem}");
}
