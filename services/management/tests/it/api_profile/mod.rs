//! The profile of a user over HTTP, with homes that are honest, hostile or old.

pub(crate) mod home;
mod importing;
mod template;

use poem::http::StatusCode;
use sea_orm::{ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;
use vpnmanager_entities::audit_log;
use vpnmanager_nats::node_requests::{NodeAnswer, ProfileParts};
use vpnmanager_testbed::wait;

use self::home::{HOME, Home};
use crate::stack::{Stack, WithKey as _, problem_of};

const EVIL: &str = "script-security 2\nup \"/bin/sh -c id\"\n";

/// What a hostile node makes of an honest part.
type Change = fn(&str) -> String;

#[tokio::test]
async fn a_profile_comes_from_its_home_and_nowhere_else() {
    let home = Home::start().await;
    home.stack.create_user("alice").await;
    let stack = &home.stack;
    let (problem, _) = problem_of(home.profile_of("alice").await, StatusCode::CONFLICT).await;
    assert!(problem.to_string().contains("not made yet"), "{problem}");
    let lose = "UPDATE placements SET applied_revision = wanted_revision";
    stack.app.db.execute_unprepared(lose).await.expect("updated");
    let (problem, _) = problem_of(home.profile_of("alice").await, StatusCode::CONFLICT).await;
    assert!(
        problem.to_string().contains("does not hold the profile"),
        "a home that has answered without a profile will not make one: {problem}"
    );
    problem_of(home.profile_of("nobody").await, StatusCode::NOT_FOUND).await;

    let parts = home.issued("bob").await;
    home.answers(NodeAnswer::ProfileParts(parts.clone()));
    let response = home.profile_of("bob").await;
    for (header, value) in [
        ("content-type", "application/x-openvpn-profile"),
        ("content-disposition", "attachment; filename=\"bob.ovpn\""),
        ("cache-control", "no-store"),
    ] {
        response.assert_header(header, value);
    }
    let etag = response.0.headers()["etag"].to_str().expect("text").to_owned();
    let text = response.0.into_body().into_string().await.expect("a text");
    assert!(text.starts_with("client\n"), "{text}");
    assert!(text.contains(&format!("<key>\n{}</key>\n", parts.key)), "{text}");
    assert!(
        text.contains(&format!("<ca>\n{}</ca>\n", stack.app.pki.ca_pem())),
        "{text}"
    );
    let client = stack.client();
    let known = client
        .get("/api/users/bob/profile")
        .admin()
        .header("if-none-match", &etag)
        .send()
        .await;
    known.assert_status(StatusCode::NOT_MODIFIED);
    known.assert_header("etag", etag);
    known.assert_text("").await;
}

/// It is a private key: who has had it must be known, and who only asked whether it changed has not.
#[tokio::test]
async fn each_profile_that_is_handed_out_is_in_the_audit_trail() {
    let home = Home::start().await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    let reads = async || {
        audit_log::Entity::find()
            .filter(audit_log::Column::Action.eq("user_profile_read"))
            .all(&home.stack.app.db)
            .await
            .expect("read")
    };
    let response = home.profile_of("alice").await;
    let request_id = response.0.headers()["x-request-id"].to_str().expect("text").to_owned();
    let etag = response.0.headers()["etag"].to_str().expect("text").to_owned();

    let client = home.stack.client();
    let known = client.get("/api/users/alice/profile").admin();
    let known = known.header("if-none-match", &etag).send().await;
    known.assert_status(StatusCode::NOT_MODIFIED);
    problem_of(home.profile_of("nobody").await, StatusCode::NOT_FOUND).await;

    let rows = reads().await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(
        (row.username.as_deref(), row.request_id.as_deref()),
        (Some("alice"), Some(request_id.as_str()))
    );
    assert!(row.actor.starts_with("key:"), "{row:?}");
    let after = row.after.as_ref().expect("a state");
    assert_eq!(after["server_id"], HOME);
    assert_eq!(after["checksum"], etag.trim_matches('"'));
    assert!(
        after["common_name"]
            .as_str()
            .is_some_and(|name| name.starts_with("alice.")),
        "{after}"
    );
    assert!(!format!("{row:?}").contains("PRIVATE KEY"), "{row:?}");

    home.handed_out("alice").await;
    assert_eq!(reads().await.len(), 2);
}

#[tokio::test]
async fn a_profile_whose_certificate_has_ended_is_not_handed_out() {
    let home = Home::start().await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    home.handed_out("alice").await;
    let end = "UPDATE credentials SET not_after = now() - interval '1 second'";
    home.stack.app.db.execute_unprepared(end).await.expect("updated");
    let (problem, _) = problem_of(home.profile_of("alice").await, StatusCode::CONFLICT).await;
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(detail.contains(" ended at ") && detail.contains("/reissue"), "{detail}");
}

#[tokio::test]
async fn a_home_that_is_away_is_named() {
    let stack = Stack::start().await;
    stack.enrol(HOME).await;
    stack.create_user("alice").await;
    let acked = "UPDATE credentials SET profile_checksum = 'c0ffee', certificate = 'PEM'";
    stack.app.db.execute_unprepared(acked).await.expect("updated");
    let response = stack.client().get("/api/users/alice/profile").admin().send().await;
    let (problem, _) = problem_of(response, StatusCode::SERVICE_UNAVAILABLE).await;
    assert!(problem.to_string().contains(HOME), "{problem}");
}

#[tokio::test]
async fn the_servers_of_a_profile_are_those_that_management_knows_at_this_moment() {
    let home = Home::start().await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::ProfileParts(parts));
    let remotes = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| line.starts_with("remote "));
        lines.map(ToOwned::to_owned).collect()
    };
    assert_eq!(remotes(&home.handed_out("alice").await), ["remote 127.0.0.1 1194"]);

    home.stack.enrol("node-2").await;
    let change = "UPDATE servers SET public_host = 'two.example', public_port = 443 WHERE name = 'node-2'";
    home.stack.app.db.execute_unprepared(change).await.expect("updated");
    let both = wait::until_some(wait::SOON, "a second server", async || {
        let text = home.handed_out("alice").await;
        (remotes(&text).len() == 2).then_some(text)
    });
    assert_eq!(
        remotes(&both.await.expect("in time")),
        ["remote 127.0.0.1 1194", "remote two.example 443"],
        "the home first"
    );

    let change =
        "UPDATE servers SET listeners = CASE name WHEN 'node-2' THEN 'udp:443,tcp:8443' ELSE 'udp:1194,tcp:443' END";
    home.stack.app.db.execute_unprepared(change).await.expect("updated");
    assert_eq!(
        remotes(&home.handed_out("alice").await),
        [
            "remote 127.0.0.1 1194 udp",
            "remote two.example 443 udp",
            "remote 127.0.0.1 443 tcp-client",
            "remote two.example 8443 tcp-client"
        ],
        "those of UDP first"
    );
}

#[tokio::test]
async fn nothing_rides_along_with_any_part_of_a_profile() {
    let home = Home::start().await;
    let parts = home.issued("alice").await;
    let changes: &[(&str, Change)] = &[
        ("instead of it", |_| EVIL.to_owned()),
        ("before it", |text| format!("{EVIL}{text}")),
        ("after it", |text| format!("{text}{EVIL}")),
        ("after its tag", |text| {
            format!("{text}</key>\n</cert>\n</tls-crypt-v2>\n{EVIL}")
        }),
        ("inside it", |text| text.replacen('\n', &format!("\n</key>\n{EVIL}"), 1)),
        ("with CR", |text| text.replacen('\n', &format!("\r{EVIL}"), 1)),
        ("with CRLF", |text| text.replace('\n', "\r\n")),
        ("twice", |text| format!("{text}{text}")),
        ("with a NUL", |text| format!("{text}\0{EVIL}")),
        ("empty", |_| String::new()),
        ("30 kB", |text| format!("{}{text}", "#\n".repeat(15_000))),
    ];
    for (what, change) in changes {
        let changed = [
            ProfileParts {
                certificate: change(&parts.certificate),
                ..parts.clone()
            },
            ProfileParts {
                key: change(&parts.key),
                ..parts.clone()
            },
            ProfileParts {
                tls_crypt_v2: change(&parts.tls_crypt_v2),
                ..parts.clone()
            },
        ];
        for parts in changed {
            home.answers(NodeAnswer::ProfileParts(parts));
            let reason = home.refused("alice").await;
            assert!(reason.len() < 400, "{what}: {reason}");
        }
    }

    home.answers(NodeAnswer::ProfileParts(parts));
    assert!(!home.handed_out("alice").await.contains("/bin/sh"));
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_refused_with_the_reason() {
    let home = Home::start().await;
    let (alice, bob) = (home.issued("alice").await, home.issued("bob").await);
    let cases = [
        (bob.clone(), "not the one that was signed"),
        (
            ProfileParts {
                key: bob.key.clone(),
                ..alice.clone()
            },
            "does not belong to the certificate",
        ),
        (
            ProfileParts {
                tls_crypt_v2: bob.tls_crypt_v2.clone(),
                ..alice.clone()
            },
            "made for another credential",
        ),
        (
            ProfileParts {
                certificate: home.stack.app.pki.ca_pem().to_owned(),
                ..alice.clone()
            },
            "not the one that was signed",
        ),
        (
            ProfileParts {
                key: alice.certificate.clone(),
                ..alice.clone()
            },
            "another label",
        ),
    ];
    for (parts, expected) in cases {
        home.answers(NodeAnswer::ProfileParts(parts));
        let reason = home.refused("alice").await;
        assert!(reason.contains(expected), "{reason}");
    }
}

#[tokio::test]
async fn other_answers_are_refused_and_noted() {
    let home = Home::start().await;
    let parts = home.issued("alice").await;
    home.answers(NodeAnswer::Profile {
        profile: format!("client\n{EVIL}"),
        checksum: "c0ffee".to_owned(),
    });
    let reason = home.refused("alice").await;
    assert!(reason.contains("update the agent"), "{reason}");
    home.answers(NodeAnswer::Done);
    assert!(home.refused("alice").await.contains("does not fit the request"));
    let secret = json!({ "v": 1, "type": "profile_parts", "certificate": 1, "key": parts.key, "tls_crypt_v2": "" });
    let quoted = json!({ "v": 1, "type": parts.key });
    for payload in [
        secret.to_string(),
        quoted.to_string(),
        String::new(),
        "[".repeat(40_000),
        "{\"v\":1,\"v\":1}".to_owned(),
        json!({ "v": 2 }).to_string(),
    ] {
        home.says_bytes(payload.into());
        assert!(home.refused("alice").await.contains("cannot be decoded"));
    }

    let rows = audit_log::Entity::find()
        .filter(audit_log::Column::Action.eq("node_answer_refused"))
        .all(&home.stack.app.db)
        .await
        .expect("read");
    assert_eq!(rows.len(), 8, "{rows:?}");
    let quotes_the_key = |row: &audit_log::Model| row.details.as_deref().is_some_and(|text| text.contains("PRIVATE"));
    assert!(!rows.iter().any(quotes_the_key), "{rows:?}");
    assert_eq!(
        (rows[0].username.as_deref(), rows[0].server_id.as_str()),
        (Some("alice"), HOME)
    );
    assert!(
        rows[0]
            .details
            .as_deref()
            .is_some_and(|details| details.contains("update"))
    );
}
