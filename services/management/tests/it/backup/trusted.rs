//! Whose word counts, and certificates of old servers.

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::EntityTrait as _;
use vpnmanager_entities::user;
use vpnmanager_management::{
    domain::restoration::Fate,
    ops::restoration::{assess::assess, decide::Keep, look::look, review::Review},
};
use vpnmanager_nats::{ids::NodeId, old_certificates::OldCertificate, subjects};

use super::decided::{LISTEN, Site};
use crate::database::run;
use crate::stack::Stack;
use crate::trail::text;

/// The database as it is restored: what was imported before the backup is in it.
async fn with_old_certificates(site: &Site, names: &[&str]) {
    for name in names {
        run(
            &site.stack.app.db,
            &format!(
                "INSERT INTO old_certificates (user_id, server_id, common_name, serial, not_after)
                 SELECT id, 'node-1', '{name}', '7', now() + interval '1 year' FROM users WHERE username = 'alice'"
            ),
        )
        .await;
    }
}

fn old(name: &str, expires_at: Option<DateTime<Utc>>, revoked: &[&str]) -> OldCertificate {
    OldCertificate {
        common_name: name.parse().expect("a common name"),
        expires_at,
        revoked: revoked
            .iter()
            .map(|serial| serial.parse().expect("a serial number"))
            .collect(),
    }
}

/// The certificates, each with what ended of it.
const OLD: &str = "SELECT string_agg(common_name || CASE WHEN revoked_at IS NOT NULL THEN ' revoked' ELSE '' END
        || CASE WHEN expires_at IS NOT NULL THEN ' ends' ELSE '' END || COALESCE(' ' || NULLIF(array_to_string(revoked_serials, ' '), ''), ''),
    ', ' ORDER BY common_name) FROM old_certificates";

#[tokio::test]
async fn old_certificates_that_ended_since_stay_ended() {
    for (keep, expected) in [
        (Keep::Fleet, "ended ends, kept, reissued 5 6, revoked revoked"),
        (Keep::File, "ended, kept, reissued, revoked"),
    ] {
        let site = Site::start(&["alice"]).await;
        with_old_certificates(&site, &["kept", "revoked", "ended", "reissued"]).await;
        let mut alice = site.held("alice", 4).await;
        alice.access.as_mut().expect("access").old_certificates = vec![
            old("kept", None, &[]),
            old("ended", Some(Utc::now() + TimeDelta::days(1)), &[]),
            old("reissued", None, &["6", "5"]),
            old("imported", None, &[]),
        ];
        site.holds(alice);

        let (undecided, found, assessment) = site.look().await;
        let review = Review::of(&undecided, &found, &assessment);
        let json = serde_json::to_value(&review).expect("JSON");
        assert_eq!(
            json["ended"][0]["old_certificates"].as_array().map(Vec::len),
            Some(3),
            "{json}"
        );
        assert_eq!(json["new_old_certificates"][0]["common_name"], "imported");
        let shown = review.to_string();
        assert!(shown.contains("revoked old certificate revoked of node-1"), "{shown}");

        let decided = site.decide(keep).await;
        assert_eq!(decided.ended, usize::from(keep == Keep::Fleet));
        assert_eq!(text(&site.stack.app.db, OLD).await, expected);
        let alice = site.user("alice").await;
        assert!(alice.active && alice.revision > 4, "{alice:?}");
    }
}

/// It has none of these users.
#[tokio::test]
async fn a_stolen_node_neither_ends_nor_revives_users_of_another_one() {
    let (site, lies) = Site::start_beside_another(&["alice", "bob", "carol"]).await;
    // Since the backup bob was suspended, and carol removed.
    let mut bob = site.held("bob", 3).await;
    bob.access.as_mut().expect("access").active = false;
    site.holds(bob);
    site.forgets("carol");
    {
        let mut alice = site.held("alice", 90).await;
        alice.access.as_mut().expect("access").active = false;
        let (bob, carol) = (site.held("bob", 90).await, site.held("carol", 90).await);
        let mut told = lies.lock().expect("unpoisoned");
        for lie in [alice, bob, carol] {
            told.insert(lie.user_key, lie);
        }
    }
    let (undecided, found, assessment) = site.look().await;
    assert!(found.sightings.silent.is_empty(), "{:?}", found.sightings.silent);
    let json = serde_json::to_value(Review::of(&undecided, &found, &assessment)).expect("JSON");
    assert_eq!(json["moved"][0]["username"], "carol", "{json}");
    let disbelieved: Vec<&str> = json["disbelieved"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["username"].as_str())
        .collect();
    assert_eq!(disbelieved, ["alice", "bob"]);

    let decided = site.decide(Keep::Fleet).await;
    assert_eq!((decided.ended, decided.suspended, decided.removed), (1, 1, 0));
    let (alice, bob, carol) = (
        site.user("alice").await,
        site.user("bob").await,
        site.user("carol").await,
    );
    assert!(alice.active && alice.revision < 90, "{alice:?}");
    assert!(!bob.active, "{bob:?}");
    assert!(!carol.active && carol.removed_at.is_none(), "{carol:?}");
}

#[tokio::test]
async fn who_was_moved_keeps_access_where_the_node_that_got_her_is_believed() {
    let (site, holds) = Site::start_beside_another(&["alice"]).await;
    site.forgets("alice");
    let alice = site.held("alice", 9).await;
    holds.lock().expect("unpoisoned").insert(alice.user_key, alice);

    let decided = site.decide(Keep::FleetAndMoves).await;
    assert_eq!((decided.raised, decided.suspended), (1, 0));
    let alice = site.user("alice").await;
    assert!(alice.active && alice.revision > 9, "{alice:?}");
}

#[tokio::test]
async fn the_store_that_the_file_knows_tells_what_was_removed_though_servers_are_silent() {
    let stack = Stack::start().await;
    stack.enrol("node-1").await;
    for name in ["alice", "bob"] {
        stack.create_user(name).await;
    }
    crate::database::until(
        &stack.app.db,
        "all commands",
        "SELECT (count(*) = 2)::int FROM placements WHERE published_sequence > 0",
    )
    .await;
    crate::database::until(&stack.app.db, "the store", "SELECT count(*) FROM bus_streams").await;
    stack.end_tasks().await;
    run(
        &stack.app.db,
        "INSERT INTO restorations (made_at, source) VALUES (now() - interval '1 day', 'yesterday.age')",
    )
    .await;
    let users = user::Entity::find().all(&stack.app.db).await.expect("read");
    let alice = users
        .iter()
        .find(|user| user.username.as_str() == "alice")
        .expect("alice");
    let node: NodeId = "node-1".parse().expect("a node");
    let subject = subjects::command(&node, alice.key);
    stack.app.topology.forget_command(&subject).await.expect("forgotten");

    let app = &stack.app;
    let found = look(&app.db, &app.bus, &app.topology, LISTEN).await.expect("looked");
    let assessment = assess(&app.db, &found).await.expect("assessed");
    assert!(found.sightings.same_store && found.sightings.answered.is_empty());
    let judged: Vec<_> = assessment.judged.iter().map(|one| (one.id, &one.fate)).collect();
    let removed = Fate::Removed {
        revision: None,
        is_certain: true,
    };
    assert_eq!(judged, [(alice.id, &removed)]);
}
