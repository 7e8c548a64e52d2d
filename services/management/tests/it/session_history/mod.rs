//! The history of sessions: what nodes report, and what is asked of it.

mod abandoned;
mod devices;
mod kept;
mod lists;
mod on_the_bus;
mod owners;
mod plans;
mod recording;
mod traffic;
mod unheard;

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};
use sea_orm::{EntityTrait as _, QueryOrder as _};
use vpnmanager_entities::session;
use vpnmanager_management::{
    domain::session_room::{PACE, Pace, SessionRoom},
    ops::sessions::record_sessions::record_sessions,
};
use vpnmanager_nats::{
    ids::{AgentInstance, CommonName},
    node_requests::LiveSession,
    sessions::{EndKind, Ended, SessionRecord, SessionReport},
};

use crate::ops::{create, node, only_credential};
use crate::stack::{Stack, get};

/// The midnight (UTC) with which yesterday began: an hour around it is over, whenever a test runs.
fn midnight() -> DateTime<Utc> {
    let today = Utc::now().date_naive();
    let yesterday = today.checked_sub_days(Days::new(1)).expect("a day");
    yesterday.and_time(NaiveTime::MIN).and_utc()
}

/// So many seconds after [`midnight`].
fn at(seconds: i64) -> DateTime<Utc> {
    midnight() + TimeDelta::seconds(seconds)
}

/// A session that begins then.
pub(crate) fn began(common_name: &CommonName, cid: u64, seconds: i64) -> LiveSession {
    LiveSession {
        common_name: common_name.clone(),
        cid: Some(cid),
        real_address: "192.0.2.1:50000".to_owned(),
        virtual_address: Some("10.8.0.2".to_owned()),
        virtual_address6: None,
        bytes_in: 0,
        bytes_out: 0,
        since: at(seconds),
        client_version: Some("2.6.14".to_owned()),
        client_platform: None,
        listener: None,
    }
}

/// The session as it is seen alive then, with so many bytes from the client and twice as many to it.
pub(crate) fn alive(session: &LiveSession, seconds: i64, bytes: u64) -> SessionRecord {
    SessionRecord {
        session: LiveSession {
            bytes_in: bytes,
            bytes_out: 2 * bytes,
            ..session.clone()
        },
        seen_at: at(seconds),
        ended: None,
    }
}

/// The session as it ended then.
pub(crate) fn ended(session: &LiveSession, seconds: i64, bytes: u64) -> SessionRecord {
    SessionRecord {
        ended: Some(Ended {
            at: at(seconds),
            kind: EndKind::Seen,
        }),
        ..alive(session, seconds, bytes)
    }
}

pub(crate) fn report(node_id: &str, records: &[SessionRecord]) -> SessionReport {
    SessionReport {
        node: node(node_id),
        instance: AgentInstance::new(),
        records: records.to_vec(),
    }
}

/// The session as it was last seen alive at the one time, and found gone at the other.
fn assumed(session: &LiveSession, alive_at: i64, gone: i64, bytes: u64) -> SessionRecord {
    SessionRecord {
        seen_at: at(gone),
        ended: Some(Ended {
            at: at(alive_at),
            kind: EndKind::Assumed,
        }),
        ..alive(session, alive_at, bytes)
    }
}

/// Room in which each report is written, as if there were a minute between two of them.
fn unhurried() -> SessionRoom {
    SessionRoom::new(Pace {
        progress: TimeDelta::zero(),
        ..PACE
    })
}

/// Records what a node tells.
async fn tell(stack: &Stack, node_id: &str, records: &[SessionRecord]) {
    let reports = [report(node_id, records)];
    record_sessions(&stack.app.db, &mut unhurried(), &reports)
        .await
        .expect("recorded");
}

/// Creates a user and gives the credential.
pub(crate) async fn credential_of(stack: &Stack, username: &str) -> CommonName {
    let user = create(stack, username).await.user;
    only_credential(stack, user.id).await
}

async fn rows(stack: &Stack) -> Vec<session::Model> {
    session::Entity::find()
        .order_by_asc(session::Column::Since)
        .order_by_asc(session::Column::Cid)
        .all(&stack.app.db)
        .await
        .expect("read")
}
