//! The history over HTTP.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use poem::http::StatusCode;
use serde_json::json;

use super::{alive, assumed, at, began, credential_of, ended, get, tell};
use crate::api_sessions::ids;
use crate::ops::enrol;
use crate::stack::{Stack, WithKey as _, problem_of};

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn id(node: &str, seconds: i64, cid: u64) -> String {
    format!("{node}.{}.{cid}", at(seconds).timestamp())
}

/// alice had 10.8.0.2 on node-1 from 0 to 600, bob has it since 600, and alice has an IPv6 address on node-2 since 300, where she came to the
/// listener of TCP.
async fn told() -> Stack {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let (alice, bob) = (credential_of(&stack, "alice").await, credential_of(&stack, "bob").await);
    let of_alice = began(&alice, 1, 0);
    let of_bob = began(&bob, 2, 600);
    let mut elsewhere = began(&alice, 1, 300);
    elsewhere.virtual_address = None;
    elsewhere.virtual_address6 = Some("fd00::2".to_owned());
    elsewhere.real_address = "[2001:db8::7]:1194".to_owned();
    elsewhere.listener = Some("tcp:443".parse().expect("a listener"));
    tell(&stack, "node-1", &[ended(&of_alice, 600, 60), alive(&of_bob, 900, 30)]).await;
    tell(&stack, "node-2", &[alive(&elsewhere, 900, 5)]).await;
    stack
}

#[tokio::test]
async fn who_had_an_address_at_a_time_is_one_call() {
    let stack = told().await;
    let (first, second, third) = (id("node-1", 0, 1), id("node-1", 600, 2), id("node-2", 300, 1));
    let millisecond = TimeDelta::milliseconds(1);
    for (address, time, expected) in [
        ("10.8.0.2", at(0) - millisecond, vec![]),
        ("10.8.0.2", at(0), vec![&first]),
        ("10.8.0.2", at(600) - millisecond, vec![&first]),
        ("10.8.0.2", at(600), vec![&second]),
        ("10.8.0.2", at(70_000), vec![&second]),
        ("192.0.2.1", at(300), vec![&first]),
        ("::ffff:192.0.2.1", at(300), vec![&first]),
        ("FD00:0::2", at(300), vec![&third]),
        ("2001:db8::7", at(300), vec![&third]),
        ("10.8.0.3", at(300), vec![]),
    ] {
        let page = get(&stack, &format!("/api/sessions?address={address}&at={}", text(time))).await;
        assert_eq!(ids(&page).iter().collect::<Vec<_>>(), expected, "{address} at {time}");
        assert_eq!(page["missing"], json!([]), "no server was asked");
    }

    let page = get(&stack, &format!("/api/sessions?at={}", text(at(600) - millisecond))).await;
    assert_eq!(ids(&page), [third.clone(), first.clone()], "the newest first");
    let item = &page["items"][1];
    assert_eq!(
        (&item["ended_at"], &item["end"], &item["device"]),
        (&json!(text(at(600))), &json!("seen"), &json!("default"))
    );
    let of_one = |filter: &str| format!("/api/sessions?at={}&{filter}", text(at(300)));
    for filter in ["server_id=node-2", "listener=tcp:443"] {
        assert_eq!(ids(&get(&stack, &of_one(filter)).await), [&*third], "{filter}");
    }
    assert_eq!(ids(&get(&stack, &of_one("username=bob")).await), Vec::<String>::new());
}

/// The agent is killed ten minutes after the session began, 15 s after it saw the session alive, and is back after two hours.
#[tokio::test]
async fn a_session_that_ended_unseen_may_have_lived_until_it_was_found_gone() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let alice = credential_of(&stack, "alice").await;
    let record = assumed(&began(&alice, 1, 0), 585, 7_200, 5);
    tell(&stack, "node-1", &[record]).await;

    let hers = [id("node-1", 0, 1)];
    let millisecond = TimeDelta::milliseconds(1);
    for (time, is_hers) in [
        (at(0), true),
        (at(585), true),
        (at(1_800), true),
        (at(7_200) - millisecond, true),
        (at(7_200), false),
    ] {
        let (moment, more) = (text(time), text(time + millisecond));
        for path in [
            format!("/api/sessions?at={moment}"),
            format!("/api/sessions?address=10.8.0.2&at={moment}"),
            format!("/api/sessions?address=192.0.2.1&at={moment}"),
            format!("/api/sessions/history?from={moment}"),
            format!("/api/sessions/history?from={moment}&until={more}"),
            format!("/api/sessions/history?address=10.8.0.2&from={moment}&until={more}"),
        ] {
            let expected: &[String] = if is_hers { &hers } else { &[] };
            assert_eq!(ids(&get(&stack, &path).await), expected, "{path}");
        }
    }
    let page = get(&stack, "/api/sessions/history").await;
    let item = &page["items"][0];
    assert_eq!(
        (&item["end"], &item["ended_at"], &item["ended_before"]),
        (&json!("assumed"), &json!(text(at(585))), &json!(text(at(7_200))))
    );
    let user = get(&stack, "/api/users/alice").await;
    assert_eq!(user["last_access"], json!(text(at(585))));
}

#[tokio::test]
async fn a_session_of_the_history_shows_what_is_known() {
    let stack = told().await;
    let page = get(&stack, "/api/sessions/history?username=alice&server_id=node-1").await;
    let [item] = page["items"].as_array().expect("items").as_slice() else {
        panic!("{page}");
    };
    assert_eq!(
        item,
        &json!({
            "id": id("node-1", 0, 1),
            "username": "alice",
            "device": "default",
            "common_name": item["common_name"],
            "server_id": "node-1",
            "since": text(at(0)),
            "ended_at": text(at(600)),
            "end": "seen",
            "last_seen_at": text(at(600)),
            "real_address": "192.0.2.1:50000",
            "virtual_address": "10.8.0.2",
            "bytes_in": 60,
            "bytes_out": 120,
            "client_version": "2.6.14",
        })
    );
    let users = get(&stack, "/api/users/alice").await;
    assert_eq!(users["last_access"], json!(text(at(900))));
    let elsewhere = get(&stack, "/api/sessions/history?server_id=node-2").await;
    assert_eq!(elsewhere["items"][0]["listener"], "tcp:443");
}

#[tokio::test]
async fn the_history_is_filtered_by_what_overlaps_a_time() {
    let stack = told().await;
    let (first, second, third) = (id("node-1", 0, 1), id("node-1", 600, 2), id("node-2", 300, 1));
    let between = |from: i64, until: i64| format!("from={}&until={}", text(at(from)), text(at(until)));
    for (filter, expected) in [
        ("limit=50".to_owned(), vec![&second, &third, &first]),
        ("username=alice".to_owned(), vec![&third, &first]),
        ("server_id=node-1".to_owned(), vec![&second, &first]),
        ("address=10.8.0.2".to_owned(), vec![&second, &first]),
        ("address=2001:db8::7".to_owned(), vec![&third]),
        ("listener=tcp:443".to_owned(), vec![&third]),
        ("listener=udp:1194".to_owned(), vec![]),
        (format!("listener=tcp:443&{}", between(600, 700)), vec![&third]),
        ("listener=tcp:443&address=10.8.0.2".to_owned(), vec![]),
        (format!("from={}", text(at(600))), vec![&second, &third]),
        (format!("until={}", text(at(300))), vec![&first]),
        (between(-100, 0), vec![]),
        (between(-100, 1), vec![&first]),
        (between(500, 600), vec![&third, &first]),
        (between(599, 601), vec![&second, &third, &first]),
        (between(600, 600), vec![]),
        (between(700, 600), vec![]),
        (format!("address=10.8.0.2&{}", between(500, 600)), vec![&first]),
        (format!("address=10.8.0.2&from={}", text(at(600))), vec![&second]),
        (format!("username=alice&{}", between(600, 700)), vec![&third]),
    ] {
        let page = get(&stack, &format!("/api/sessions/history?{filter}")).await;
        assert_eq!(ids(&page).iter().collect::<Vec<_>>(), expected, "{filter}");
    }
}

#[tokio::test]
async fn pages_of_the_history_have_each_session_once_in_the_order_of_ids() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let alice = credential_of(&stack, "alice").await;
    for node in ["node-1", "node-2"] {
        // Many begin in one second, as after a restart of OpenVPN.
        let records: Vec<_> = (0..8)
            .map(|cid| alive(&began(&alice, cid, i64::from(cid > 5) * 60), 100, 1))
            .collect();
        tell(&stack, node, &records).await;
    }
    for filter in [
        String::new(),
        "username=alice&".to_owned(),
        "address=10.8.0.2&".to_owned(),
        format!("from={}&", text(at(30))),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(&stack, &format!("/api/sessions/history?{filter}limit=3{cursor}")).await;
            seen.extend(ids(&page));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        let mut expected = Vec::new();
        for (seconds, cids) in [(60, [7, 6].as_slice()), (0, [5, 4, 3, 2, 1, 0].as_slice())] {
            for node in ["node-1", "node-2"] {
                expected.extend(cids.iter().map(|cid| id(node, seconds, *cid)));
            }
        }
        assert_eq!(seen, expected, "{filter}");
    }
    let at_once = format!("/api/sessions?at={}&limit=5", text(at(90)));
    let page = get(&stack, &at_once).await;
    let next = page["next_cursor"].as_str().expect("a next page");
    let rest = get(&stack, &format!("/api/sessions?at={}&cursor={next}", text(at(90)))).await;
    assert_eq!((ids(&page).len(), ids(&rest).len()), (5, 11));
}

#[tokio::test]
async fn filters_that_are_none_are_refused_with_their_name() {
    let stack = Stack::start().await;
    for (query, field) in [
        ("history?address=10.8.0.0/24", "address"),
        ("history?address=alice", "address"),
        ("history?from=soon", "from"),
        ("history?until=2027-01-01", "until"),
        ("history?cursor=7", "cursor"),
        ("history?server_id=a.b", "server_id"),
        ("history?listener=tcp", "listener"),
        ("?address=300.0.0.1", "address"),
        ("?at=now", "at"),
        ("?at=2027-03-01T12:00:00Z&listener=tcp:65536", "listener"),
    ] {
        let path = match query.strip_prefix('?') {
            Some(query) => format!("/api/sessions?{query}"),
            None => format!("/api/sessions/{query}"),
        };
        let answer = stack.client().get(&path).admin().send().await;
        let (_, fields) = problem_of(answer, StatusCode::BAD_REQUEST).await;
        assert_eq!(fields, [field], "{path}");
    }
}
