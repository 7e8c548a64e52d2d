//! Which requests enrol a node.

use chrono::TimeDelta;

use super::*;
use crate::domain::placement::tests::server;

type Alter = fn(&mut Wanted);

fn node(name: &str) -> NodeId {
    name.parse().expect("a valid id")
}

fn wanted(name: &str) -> Wanted {
    let server = server(name);
    Wanted {
        node: server.name,
        bus_public_key: server.bus_public_key,
        tls_key_sha256: vec![7; 32],
        host: server.public_host,
        port: 1194,
        protocol: server.public_protocol,
        pool: server.pool,
    }
}

fn enrolled(wanted: &Wanted) -> server::Model {
    server::Model {
        enrolled_as: Some(wanted.digest()),
        ..server(wanted.node.as_str())
    }
}

fn token(at: DateTime<Utc>) -> join_token::Model {
    join_token::Model {
        id: 1,
        hash: vec![0; 32],
        server_id: None,
        created_by: "key:admin".to_owned(),
        created_at: at - TimeDelta::hours(1),
        expires_at: at + TimeDelta::hours(1),
        used_at: None,
        used_by: None,
        used_as: None,
    }
}

fn bound(token: join_token::Model, name: &str) -> join_token::Model {
    join_token::Model {
        server_id: Some(node(name)),
        ..token
    }
}

fn used(token: join_token::Model, wanted: &Wanted) -> join_token::Model {
    join_token::Model {
        used_at: Some(token.created_at),
        used_by: Some(wanted.node.clone()),
        used_as: Some(wanted.digest()),
        ..token
    }
}

#[test]
fn a_token_enrols_one_node_once_and_lets_it_repeat_exactly_that() {
    let now = Utc::now();
    let (ours, other) = (wanted("node-1"), wanted("node-2"));
    let (there, any) = (enrolled(&ours), token(now));
    let leaving = server::Model {
        leaving_since: Some(now),
        ..there.clone()
    };
    let expired = join_token::Model {
        expires_at: now,
        ..any.clone()
    };
    let older = join_token::Model {
        used_as: None,
        ..used(any.clone(), &ours)
    };
    let cases = [
        ("fresh", any.clone(), None, Ok(Change::New)),
        (
            "made for this node",
            bound(any.clone(), "node-1"),
            None,
            Ok(Change::New),
        ),
        (
            "made for another",
            bound(any.clone(), "node-2"),
            None,
            Err(Refusal::TokenOfAnotherNode),
        ),
        ("expired", expired.clone(), None, Err(Refusal::TokenExpired)),
        (
            "expired, repeated",
            used(expired, &ours),
            Some(&there),
            Err(Refusal::TokenExpired),
        ),
        (
            "used for this",
            used(any.clone(), &ours),
            Some(&there),
            Ok(Change::Repeat),
        ),
        (
            "used by another node",
            used(any.clone(), &other),
            None,
            Err(Refusal::TokenUsed),
        ),
        (
            "used by this node, which was deregistered",
            used(any.clone(), &ours),
            None,
            Err(Refusal::TokenUsed),
        ),
        (
            "used by this node, which was deregistered and has users",
            used(any.clone(), &ours),
            Some(&leaving),
            Err(Refusal::TokenUsed),
        ),
        (
            "made for this node, which was deregistered and has users",
            bound(any.clone(), "node-1"),
            Some(&leaving),
            Err(Refusal::Leaving),
        ),
        ("used before this release", older, Some(&there), Err(Refusal::TokenUsed)),
    ];
    for (what, token, existing, expected) in cases {
        assert_eq!(judge(Means::Token(&token, now), existing, &ours), expected, "{what}");
    }
}

#[test]
fn whatever_differs_from_the_first_use_is_no_repetition() {
    let now = Utc::now();
    let ours = wanted("node-1");
    let there = enrolled(&ours);
    let differing: [(&str, Alter); 6] = [
        ("bus key", |wanted| {
            wanted.bus_public_key = NodePublicKey::of(&nkeys::KeyPair::new_user()).expect("a user key");
        }),
        ("certificate request", |wanted| wanted.tls_key_sha256 = vec![8; 32]),
        ("host", |wanted| wanted.host = "evil.example".parse().expect("a host")),
        ("port", |wanted| wanted.port = 1195),
        ("protocol", |wanted| wanted.protocol = Protocol::Tcp),
        ("pool", |wanted| wanted.pool = "other".to_owned()),
    ];
    for (what, change) in differing {
        let mut altered = ours.clone();
        change(&mut altered);
        let judged = |token: &join_token::Model| judge(Means::Token(token, now), Some(&there), &altered);
        for used in [used(token(now), &ours), used(bound(token(now), "node-1"), &ours)] {
            assert_eq!(judged(&used), Err(Refusal::TokenUsed), "{what}");
        }
        assert_eq!(judged(&token(now)), Err(Refusal::NameTaken), "{what}");
        assert_eq!(
            judge(Means::Key, Some(&there), &altered),
            Err(Refusal::NameTaken),
            "{what}"
        );
        assert_eq!(judged(&bound(token(now), "node-1")), Ok(Change::Replace), "{what}");
    }
}

#[test]
fn an_old_token_does_not_bring_back_what_a_newer_one_replaced() {
    let now = Utc::now();
    let before = wanted("node-1");
    let after = Wanted {
        port: 443,
        ..before.clone()
    };
    let old = used(bound(token(now), "node-1"), &before);
    let there = enrolled(&after);
    assert_eq!(
        judge(Means::Token(&old, now), Some(&there), &before),
        Err(Refusal::TokenUsed)
    );
    assert_eq!(
        judge(Means::Token(&old, now), Some(&there), &after),
        Err(Refusal::TokenUsed)
    );
}

#[test]
fn a_key_enrols_new_nodes_and_lets_them_repeat_exactly_that() {
    let ours = wanted("node-1");
    assert_eq!(judge(Means::Key, None, &ours), Ok(Change::New));
    assert_eq!(judge(Means::Key, Some(&enrolled(&ours)), &ours), Ok(Change::Repeat));
    let older = server("node-1");
    assert_eq!(judge(Means::Key, Some(&older), &ours), Err(Refusal::NameTaken));
}
