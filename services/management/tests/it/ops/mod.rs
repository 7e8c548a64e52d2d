//! Operations, tested with a real PostgreSQL.

mod absent;
mod changes;
mod clones;
mod devices;
mod drift;
mod due;
mod events;
mod failover;
mod hostile;
pub(crate) mod imports;
mod intents;
mod leaving;
mod locks;
mod lost_journal;
mod moves;
pub(crate) mod nodes;
mod outdated;
mod publications;
mod reissue;
mod reissues;
mod removals;
mod reports;
mod revocations;
mod rollouts;
mod signing;
mod starting;
pub(crate) mod sync;
mod totals;
mod transact;
mod upgraded;
mod urgent;

use chrono::Utc;
use vpnmanager_management::{
    domain::{actor::Actor, audit_action::AuditAction, placement::Home},
    ops::{
        nodes::{
            read::{NodeView, get_node},
            register::{Authority, Registration, register_node},
        },
        users::{
            create::NewUser,
            read::{UserView, get_user},
            reissue::{OldProfiles, reissue_profile},
        },
    },
};
use vpnmanager_nats::{
    acks::{Ack, Issued, Outcome},
    commands::Protocol,
    device::DeviceName,
    ids::{AgentInstance, CommonName, NodeId, Revision},
    security::{
        enrolment::{EnrolmentClaim, Sha256},
        keys::NodePublicKey,
    },
    username::Username,
};

use crate::database::run;
use crate::stack::{Stack, csr};

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use vpnmanager_entities::{audit_log, credential, server};

pub(crate) fn node(id: &str) -> NodeId {
    id.parse().expect("a valid id")
}

/// Nodes without agents that look healthy and in sync.
pub(crate) async fn fleet(nodes: u8) -> Stack {
    let stack = Stack::start().await;
    for number in 1..=nodes {
        enrol(&stack, &format!("node-{number}")).await;
    }
    run(
        &stack.app.db,
        "UPDATE servers SET state = 'healthy', heard_since = now() - interval '1 day', last_sync = now()",
    )
    .await;
    stack
}

/// An enrolled node has been in sync.
pub(crate) async fn in_sync(stack: &Stack, id: &str) {
    let sync = format!("UPDATE servers SET last_sync = now() WHERE name = '{id}'");
    run(&stack.app.db, &sync).await;
}

pub(crate) fn actor() -> Actor {
    Actor::key("test", None, None)
}

/// Asks for another credential of the device `default`; the older ones stay valid.
async fn reissue_default(stack: &Stack, username: &Username) -> UserView {
    let device = DeviceName::default();
    reissue_profile(&stack.app, &actor(), username, &device, OldProfiles::Keep)
        .await
        .expect("reissued")
}

pub(crate) async fn enrol(stack: &Stack, id: &str) {
    let key = nkeys::KeyPair::new_user();
    let csr = csr();
    let claim = EnrolmentClaim {
        node: node(id),
        key: NodePublicKey::of(&key).expect("a user key"),
        csr: Sha256::of(&csr),
        host: Some("127.0.0.1".parse().expect("a host")),
        port: 1194,
        protocol: Protocol::Udp,
        pool: node("default"),
        capacity: None,
        join_token: None,
        at: Utc::now(),
    };
    let registration = Registration {
        signature: claim.sign(&key).expect("signed"),
        claim,
        csr,
        agent_version: None,
        peer: "127.0.0.1".parse().expect("an address"),
    };
    register_node(&stack.app, registration, Authority::Key(actor()))
        .await
        .expect("enrolled");
}

/// The audit entries with this action.
pub(crate) async fn audited(stack: &Stack, action: AuditAction) -> Vec<audit_log::Model> {
    audit_log::Entity::find()
        .filter(audit_log::COLUMN.action.eq(action.as_str()))
        .order_by_asc(audit_log::Column::Id)
        .all(&stack.app.db)
        .await
        .expect("read")
}

pub(crate) async fn create(stack: &Stack, username: &str) -> UserView {
    let new = NewUser::named(username.parse().expect("a valid username"), actor());
    stack.app.creates.submit(new).await.expect("created")
}

/// The same with this node as the home.
async fn create_on(stack: &Stack, id: &str, username: &str) -> UserView {
    let new = NewUser {
        home: Home::Named(node(id)),
        ..NewUser::named(username.parse().expect("a valid username"), actor())
    };
    stack.app.creates.submit(new).await.expect("created")
}

/// The name of the credential of a user who has one.
pub(crate) async fn only_credential(stack: &Stack, user_id: i64) -> CommonName {
    let found = credential::Entity::find()
        .filter(credential::COLUMN.user_id.eq(user_id))
        .one(&stack.app.db)
        .await;
    found.expect("read").expect("a credential").common_name
}

/// The valid credentials of a user, oldest first.
async fn valid_credentials(stack: &Stack, user: &UserView) -> Vec<credential::Model> {
    credential::Entity::find_valid_of([user.user.id])
        .all(&stack.app.db)
        .await
        .expect("read")
}

/// The nodes that made the valid credentials of a user, oldest first.
async fn issuers(stack: &Stack, user: &UserView) -> Vec<String> {
    let valid = valid_credentials(stack, user).await.into_iter();
    valid.map(|credential| credential.server_id.to_string()).collect()
}

/// A node of the fleet.
async fn node_view(stack: &Stack, id: &str) -> NodeView {
    get_node(&stack.app, &node(id)).await.expect("read").expect("there")
}

async fn server_of(stack: &Stack, id: &str) -> server::Model {
    node_view(stack, id).await.server
}

async fn view(stack: &Stack, username: &str) -> Option<UserView> {
    get_user(&stack.app.db, &username.parse().expect("a valid username"))
        .await
        .expect("read")
}

/// Makes every placement unpublished again, with no lease.
pub(crate) async fn unpublish(stack: &Stack) {
    run(
        &stack.app.db,
        "UPDATE placements SET published_revision = 0, lease_until = 'epoch'",
    )
    .await;
}

/// The ack of a home that has applied this revision and made the newest profile of the device `default`.
pub(crate) async fn issued(stack: &Stack, view: &UserView, revision: i64) -> Ack {
    let home = &view.user.server_id;
    let newest = credential::Entity::find()
        .filter(credential::COLUMN.user_id.eq(view.user.id))
        .filter(credential::COLUMN.server_id.eq(home.clone()))
        .filter(credential::Column::Device.eq("default"))
        .order_by_desc(credential::Column::Id);
    let newest = newest.one(&stack.app.db).await.expect("read").expect("a credential");
    let issued = Issued {
        common_name: newest.common_name,
        profile_path: "/profiles/made.ovpn".to_owned(),
        profile_checksum: "0a".repeat(32),
    };
    Ack {
        outcome: Outcome::Applied {
            issued: Some(issued),
            further: Vec::new(),
            note: None,
        },
        ..applied(home.as_str(), view, revision)
    }
}

/// The ack of a node that has applied this revision, and made no profile.
pub(crate) fn applied(id: &str, view: &UserView, revision: i64) -> Ack {
    Ack {
        node: node(id),
        instance: AgentInstance::new(),
        user_key: view.user.key,
        revision: Revision(revision),
        outcome: Outcome::Applied {
            issued: None,
            further: Vec::new(),
            note: None,
        },
        applied_at: Utc::now(),
    }
}
