//! What a node may fill of the trail.

use chrono::{TimeDelta, Utc};
use sea_orm::{ConnectionTrait as _, TransactionTrait as _};
use vpnmanager_management::{
    domain::audit_action::AuditAction,
    ops::{
        audit_room,
        nodes::{assess_ages::assess_ages, record_heartbeats::record_heartbeats},
        reports::apply_reports::apply_reports,
        users::accept_intent::accept,
    },
};
use vpnmanager_nats::{
    events::{Event, EventKind},
    heartbeats::OpenvpnState,
    ids::{AgentInstance, EventId, IntentId, UserKey},
    intents::{Intent, IntentAction},
};

use super::{number, until};
use crate::database::run;
use crate::ops::{
    audited, enrol, node,
    nodes::{hears_since, heartbeat},
};
use crate::stack::Stack;

/// The default of AUDIT_NODE_EVENTS, and the tenth of it that chatter gets.
const ROOM: usize = 600;
const ROOM_OF_CHATTER: usize = 60;

fn event(id: &str, kind: EventKind) -> Event {
    Event {
        id: EventId::new(),
        node: node(id),
        instance: AgentInstance::new(),
        at: Utc::now(),
        kind,
    }
}

fn up(id: &str) -> Event {
    event(id, EventKind::OpenvpnUp { pid: 1 })
}

fn cut(id: &str) -> Event {
    let common_names = vec!["alice.0123456789abcdef".parse().expect("a name")];
    event(id, EventKind::SessionsCut { common_names })
}

async fn report(stack: &Stack, events: &[Event]) {
    for batch in events.chunks(256) {
        apply_reports(&stack.app, &[], batch).await.expect("recorded");
    }
}

/// Lets a minute pass since the first entry that found no room.
async fn a_minute_later(stack: &Stack) {
    run(
        &stack.app.db,
        "UPDATE audit_room SET left_out_since = left_out_since - interval '1 minute' WHERE left_out > 0",
    )
    .await;
}

#[tokio::test]
async fn a_flood_of_one_node_fills_its_room_and_takes_none_of_others() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    enrol(&stack, "node-2").await;
    let flood: Vec<Event> = (0..3000).map(|_| up("node-1")).collect();
    report(&stack, &flood).await;
    // What matters is recorded though the same node chatters, and so is what another node says.
    report(&stack, &[cut("node-1"), up("node-2"), cut("node-2")]).await;

    let ups = audited(&stack, AuditAction::OpenvpnUp).await;
    let of = |id: &str| ups.iter().filter(|row| row.server_id == id).count();
    assert_eq!((of("node-1"), of("node-2")), (ROOM_OF_CHATTER, 1));
    assert_eq!(audited(&stack, AuditAction::SessionsCut).await.len(), 2);
    let ids = number(&stack.app.db, "SELECT count(*) FROM recorded_events").await;
    assert_eq!(
        ids,
        i64::try_from(ROOM_OF_CHATTER + 3).expect("small"),
        "nothing else grows either"
    );
}

#[tokio::test]
async fn what_matters_has_its_own_bound() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let flood: Vec<Event> = (0..ROOM + 50).map(|_| cut("node-1")).collect();
    report(&stack, &flood).await;
    assert_eq!(audited(&stack, AuditAction::SessionsCut).await.len(), ROOM);
}

#[tokio::test]
async fn one_entry_a_minute_says_what_was_left_out_however_many_replicas_there_are() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let flood: Vec<Event> = (0..ROOM_OF_CHATTER + 7).map(|_| up("node-1")).collect();
    report(&stack, &flood).await;
    let cuts: Vec<Event> = (0..ROOM + 2).map(|_| cut("node-1")).collect();
    report(&stack, &cuts).await;
    let summaries = async || audited(&stack, AuditAction::NodeEventsLeftOut).await;

    audit_room::summarise(&stack.app.db).await.expect("too early");
    assert_eq!(summaries().await.len(), 0);
    a_minute_later(&stack).await;
    let replicas = [0; 4].map(|_| audit_room::summarise(&stack.app.db));
    for summarised in futures_util::future::join_all(replicas).await {
        summarised.expect("summarised");
    }

    let told = summaries().await;
    assert_eq!(told.len(), 1);
    let after = told[0].after.as_ref().expect("the counts");
    assert_eq!(
        after["actions"],
        serde_json::json!({ "openvpn_up": 7, "sessions_cut": 2 })
    );
    assert_eq!(
        (told[0].server_id.as_str(), told[0].actor.as_str()),
        ("node-1", "system")
    );

    report(&stack, &[up("node-1")]).await;
    a_minute_later(&stack).await;
    audit_room::summarise(&stack.app.db).await.expect("summarised");
    let told = summaries().await;
    assert_eq!(
        told[1].after.as_ref().expect("the counts")["actions"],
        serde_json::json!({ "openvpn_up": 1 })
    );
}

#[tokio::test]
async fn room_grows_again_and_a_second_delivery_takes_none() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let first = up("node-1");
    report(&stack, std::slice::from_ref(&first)).await;
    let again: Vec<Event> = (0..200).map(|_| first.clone()).collect();
    report(&stack, &again).await;
    let flood: Vec<Event> = (0..ROOM_OF_CHATTER).map(|_| up("node-1")).collect();
    report(&stack, &flood).await;
    assert_eq!(audited(&stack, AuditAction::OpenvpnUp).await.len(), ROOM_OF_CHATTER);

    run(
        &stack.app.db,
        "UPDATE audit_room SET refilled_at = refilled_at - interval '5 minutes'",
    )
    .await;
    let flood: Vec<Event> = (0..ROOM_OF_CHATTER).map(|_| up("node-1")).collect();
    report(&stack, &flood).await;
    assert_eq!(audited(&stack, AuditAction::OpenvpnUp).await.len(), ROOM_OF_CHATTER + 5);
}

#[tokio::test]
async fn an_entry_is_recorded_while_housekeeping_deletes_its_idle_room() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    report(&stack, &[up("node-1")]).await;
    let housekeeping = stack.app.db.begin().await.expect("begun");
    let lock = "SELECT FROM audit_room FOR UPDATE";
    housekeeping.execute_unprepared(lock).await.expect("locked");
    let deleted = async {
        let waits = "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%audit_room%'";
        until(&stack.app.db, "the report waits for the row", waits).await;
        let delete = "DELETE FROM audit_room";
        housekeeping.execute_unprepared(delete).await.expect("deleted");
        housekeeping.commit().await.expect("committed");
    };

    futures_util::future::join(report(&stack, &[up("node-1")]), deleted).await;

    assert_eq!(audited(&stack, AuditAction::OpenvpnUp).await.len(), 2);
}

#[tokio::test]
async fn a_node_says_when_it_happened_and_the_database_when_it_came() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let mut lying = up("node-1");
    lying.at = "1999-01-01T00:00:00Z".parse().expect("a time");
    let mut ahead = cut("node-1");
    ahead.at = "9999-01-01T00:00:00Z".parse().expect("a time");
    report(&stack, &[lying.clone(), ahead.clone()]).await;
    for (action, said) in [(AuditAction::OpenvpnUp, lying.at), (AuditAction::SessionsCut, ahead.at)] {
        let row = audited(&stack, action).await.remove(0);
        assert_eq!(row.reported_at, Some(said));
        assert!(
            (Utc::now() - row.timestamp).abs() < TimeDelta::minutes(5),
            "{}",
            row.timestamp
        );
    }
}

#[tokio::test]
async fn what_a_node_causes_without_events_is_bounded_too() {
    let stack = Stack::start().await;
    enrol(&stack, "node-1").await;
    let mut said = heartbeat("node-1", OpenvpnState::Up);
    let mut flood = async |rounds: std::ops::Range<i64>| {
        for round in rounds {
            said.heartbeat.openvpn.state = if round % 2 == 0 {
                OpenvpnState::Up
            } else {
                OpenvpnState::Down
            };
            record_heartbeats(&stack.app.db, stack.app.config.health, std::slice::from_ref(&said))
                .await
                .expect("recorded");
            let intent = Intent {
                id: IntentId::new(),
                node: node("node-1"),
                requested_at: Utc::now(),
                source: None,
                local: false,
                action: IntentAction::RemoveUser {
                    user_key: UserKey::new(),
                    username: "nobody-of-us".parse().expect("a name"),
                },
            };
            accept(&stack.app, &intent).await.expect("refused");
        }
    };
    let actions = [AuditAction::NodeStateChanged, AuditAction::LocalRequestRefused];
    flood(0..1).await;
    // Little is left, and nothing grows before tomorrow.
    run(
        &stack.app.db,
        "UPDATE audit_room SET room = 2, refilled_at = now() + interval '1 day'",
    )
    .await;
    flood(1..7).await;
    for action in actions {
        assert_eq!(audited(&stack, action).await.len(), 1 + 2, "{action}");
    }
    a_minute_later(&stack).await;
    audit_room::summarise(&stack.app.db).await.expect("summarised");
    let told = audited(&stack, AuditAction::NodeEventsLeftOut).await.remove(0);
    let counts = &told.after.expect("the counts")["actions"];
    for action in actions {
        assert_eq!(counts[action.as_str()], 4, "{counts}");
    }

    // That it is gone is not in the node's hand.
    run(
        &stack.app.db,
        "UPDATE servers SET last_seen = now() - interval '1 hour' WHERE name = 'node-1'",
    )
    .await;
    assess_ages(&hears_since(&stack, TimeDelta::hours(1)))
        .await
        .expect("assessed");
    let last = audited(&stack, AuditAction::NodeStateChanged)
        .await
        .pop()
        .expect("an entry");
    assert_eq!(last.after.expect("the state")["state"], "lost");
}
