//! Sessions at once: a group says with how many devices its members may be connected at the same time, over the whole fleet.

mod counted;
mod ended;
mod plans;

use chrono::{SubsecRound as _, TimeDelta, Utc};
use vpnmanager_entities::credential;
use vpnmanager_management::{
    domain::{actor::Actor, session_room::SessionRoom},
    ops::{
        devices::create::create_device,
        sessions::{
            find_excess::{ExcessSession, find_excess},
            record_sessions::record_sessions,
        },
    },
};
use vpnmanager_nats::{
    ids::{AgentInstance, CommonName},
    node_requests::LiveSession,
    sessions::{SessionRecord, SessionReport},
};

use crate::database::run;
use crate::ops::{create, node};
use crate::stack::Stack;

/// A user with two devices.
struct Alice {
    id: i64,
    /// Credentials.
    default: CommonName,
    phone: CommonName,
}

async fn alice(stack: &Stack) -> Alice {
    let user = create(stack, "alice").await.user;
    let phone = "phone".parse().expect("the name of a device");
    create_device(&stack.app, &Actor::key("test", None, None), &user.username, &phone)
        .await
        .expect("created");
    let valid = credential::Entity::find_valid_of([user.id]).all(&stack.app.db).await;
    let valid = valid.expect("read");
    let [default, phone] = valid.as_slice() else {
        panic!("{valid:?}");
    };
    Alice {
        id: user.id,
        default: default.common_name.clone(),
        phone: phone.common_name.clone(),
    }
}

/// Makes a group with this limit, and puts alice into it.
async fn limited(stack: &Stack, devices: u8, excess: &str) {
    let change = format!(
        "INSERT INTO groups (name, sessions, session_excess) VALUES ('staff', {devices}, '{excess}');
         UPDATE users SET group_name = 'staff' WHERE username = 'alice'"
    );
    run(&stack.app.db, &change).await;
}

/// The heartbeats of all nodes arrive, for an hour to come.
async fn all_heard(stack: &Stack) {
    run(
        &stack.app.db,
        "UPDATE servers SET state = 'healthy', heard_since = now() - interval '1 day', last_seen = now() + interval '1 hour'",
    )
    .await;
}

/// A session that began so many seconds ago.
fn session(common_name: &CommonName, cid: u64, ago: i64) -> LiveSession {
    LiveSession {
        common_name: common_name.clone(),
        cid: Some(cid),
        real_address: "192.0.2.1:50000".to_owned(),
        virtual_address: Some("10.8.0.2".to_owned()),
        virtual_address6: None,
        bytes_in: 0,
        bytes_out: 0,
        since: (Utc::now() - TimeDelta::seconds(ago)).trunc_subsecs(0),
        client_version: None,
        client_platform: None,
        listener: None,
    }
}

/// What a node tells of a session that lives.
fn told(id: &str, session: &LiveSession) -> SessionReport {
    SessionReport {
        node: node(id),
        instance: AgentInstance::new(),
        records: vec![SessionRecord {
            session: session.clone(),
            seen_at: Utc::now(),
            ended: None,
        }],
    }
}

/// Records what a node tells, and has nobody look at its user.
async fn record(stack: &Stack, id: &str, session: &LiveSession) {
    let reports = [told(id, session)];
    record_sessions(&stack.app.db, &mut SessionRoom::default(), &reports)
        .await
        .expect("recorded");
}

async fn excess(stack: &Stack, alice: &Alice) -> Vec<ExcessSession> {
    let stale_after = stack.app.config.health.stale_after;
    find_excess(&stack.app.db, &[alice.id], stale_after)
        .await
        .expect("found")
}

/// OpenVPN's numbers for the sessions that have to end.
async fn beyond(stack: &Stack, alice: &Alice) -> Vec<u64> {
    let found = excess(stack, alice).await;
    let mut numbers: Vec<u64> = found.iter().map(|excess| excess.id.cid).collect();
    numbers.sort_unstable();
    numbers
}
