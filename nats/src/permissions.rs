//! Who may publish and subscribe to what: every export, import and permission of the bus.
//!
//! Two accounts. `VPN` holds management and JetStream; `NODES` holds the agents and reaches exactly the subjects exported
//! here. In one shared account a node could aim the server's own reply at another node's command subject and so erase the
//! command: reply subjects are not checked. Across the border replies travel on `_R_.…` and never re-enter a VPN subject.
//!
//! Inside `NODES` one hole remains, and [`is_request_of_management`] closes it: a node can name another node's
//! `vpn.node.<node>.<verb>` as the reply subject of its own request, and the answer is then delivered there.

use crate::{
    security::{
        claims::{
            AccountClaims, AccountLimits, Export, Import, ResponsePermission, ResponseType, ScopeKind, SharingKind,
            SigningKey, SubjectPermissions, UNLIMITED, UserPermissions, UserScope,
        },
        keys::AccountKey,
    },
    subjects::{ALL_ACKS, ALL_EVENTS, ALL_HEARTBEATS, ALL_INTENTS, ALL_NODE_REQUESTS, ALL_SIGNS, ALL_SYNCS},
    topology::{COMMANDS, NODE_API_PREFIX},
};

/// The first token of a node's inbox, before its id; see `ConnectOptions::custom_inbox_prefix`.
pub const INBOX_PREFIX: &str = "_INBOX";

/// The largest message of a node, in bytes. A larger one costs it its connection.
pub const NODE_MAX_PAYLOAD: i64 = 64 * 1024;

/// The most subscriptions of one node: its requests, its inbox, one per open pull, and some to spare.
const NODE_MAX_SUBSCRIPTIONS: i64 = 32;

/// How long a node may take to answer a request, in nanoseconds.
const NODE_ANSWER_TTL: i64 = 5_000_000_000;

/// How long the server remembers a request of a node that has no reply yet, with the reply subject that the node chose, in nanoseconds.
///
/// A node may ask for replies that never come: to heartbeats, or for settling what was never delivered. The server drops what is due once in
/// this time, so it holds each request for one to two times as long. Unset it would be two minutes: gigabytes, which no budget sees, because
/// the server counts payloads only.
mod remembered {
    /// What nobody answers, or no agent wants an answer to: heartbeats, and the settling of commands.
    pub(super) const UNANSWERED: i64 = SECOND / 2;
    /// What an agent waits for: 5 s for whatever JetStream answers, for signatures and for local requests.
    pub(super) const REQUEST: i64 = 5 * SECOND;
    /// A handshake, for which an agent waits 15 s.
    pub(super) const HANDSHAKE: i64 = 15 * SECOND;
    /// A pull may wait for longer, but not in silence: each reply starts the time anew, and the server says that it is there every 5 s
    /// (every 15 s to agents of earlier releases; an agent that hears nothing for twice that time pulls again).
    pub(super) const PULL: i64 = 30 * SECOND;

    const SECOND: i64 = 1_000_000_000;
}

/// The name of the scope that all nodes share.
const NODE_ROLE: &str = "node";

/// In a scope's template, the name in the user's token: the node id.
const NAME: &str = "{{name()}}";

/// The inbox prefix of one node.
pub fn inbox_prefix(node: &crate::ids::NodeId) -> String {
    format!("{INBOX_PREFIX}.{node}")
}

/// Whether a message on `vpn.node.<node>.<verb>` is a request that management made, told by its reply subject.
///
/// The server writes `_R_.…` on what crosses from another account. What another node diverted to this subject, by naming
/// it as the reply subject of a request of its own, carries no reply subject or an ack subject of JetStream.
/// A node must drop whatever fails this test before it reads the payload, and management must never ask for an answer
/// to one of its answers, which would give a diverted answer such a reply subject.
pub fn is_request_of_management(reply: Option<&str>) -> bool {
    reply.is_some_and(|subject| subject.starts_with("_R_."))
}

/// The account of management: JetStream, and what nodes may ask of it.
pub fn vpn_account(nodes: &AccountKey) -> AccountClaims {
    AccountClaims {
        exports: openings().into_iter().map(Opening::export).collect(),
        imports: vec![node_requests_import(nodes)],
        limits: AccountLimits::with_jetstream(),
        ..AccountClaims::default()
    }
}

/// The account of the agents: no JetStream, no unscoped signing key.
pub fn nodes_account(vpn: &AccountKey, signing_key: &AccountKey) -> AccountClaims {
    AccountClaims {
        // Management alone asks here, and decides itself how long a node may take.
        exports: vec![service(
            "node requests",
            ALL_NODE_REQUESTS,
            ResponseType::Singleton,
            None,
        )],
        imports: openings().into_iter().map(|opening| opening.import(vpn)).collect(),
        signing_keys: vec![SigningKey::Scoped(UserScope {
            kind: ScopeKind::UserScope,
            key: signing_key.as_str().to_owned(),
            role: NODE_ROLE.to_owned(),
            template: node_template(),
        })],
        ..AccountClaims::default()
    }
}

/// What every node may do; its own id is filled in by the server from the node's token.
pub fn node_template() -> UserPermissions {
    let publish = openings().into_iter().map(|opening| opening.of_one_node()).collect();
    let subscribe = vec![format!("{INBOX_PREFIX}.{NAME}.>"), of_one_node(ALL_NODE_REQUESTS)];
    UserPermissions {
        publish: SubjectPermissions::only(publish),
        subscribe: SubjectPermissions::only(subscribe),
        responses: Some(ResponsePermission {
            max: 1,
            ttl: NODE_ANSWER_TTL,
        }),
        subs: NODE_MAX_SUBSCRIPTIONS,
        data: UNLIMITED,
        payload: NODE_MAX_PAYLOAD,
    }
}

/// One subject through which nodes reach into the account of management.
struct Opening {
    name: &'static str,
    /// In the account of management; the first wildcard stands for the node.
    subject: String,
    /// In the account of the nodes, where it differs.
    local_subject: Option<String>,
    responses: ResponseType,
    /// See [`remembered`].
    remembered: i64,
}

impl Opening {
    fn plain(name: &'static str, subject: impl Into<String>, remembered: i64) -> Self {
        Self {
            name,
            subject: subject.into(),
            local_subject: None,
            responses: ResponseType::Singleton,
            remembered,
        }
    }

    fn export(self) -> Export {
        service(self.name, self.subject, self.responses, Some(self.remembered))
    }

    fn import(self, vpn: &AccountKey) -> Import {
        Import {
            name: self.name.to_owned(),
            subject: self.subject,
            account: vpn.as_str().to_owned(),
            local_subject: self.local_subject,
            kind: SharingKind::Service,
        }
    }

    fn of_one_node(&self) -> String {
        of_one_node(self.local_subject.as_deref().unwrap_or(&self.subject))
    }
}

/// Everything that nodes may reach in the account of management.
fn openings() -> Vec<Opening> {
    // Under `$JS.API` the server would look into the node's own account, which has no JetStream.
    let api = |name, verb: &str, responses, remembered| Opening {
        name,
        subject: format!("$JS.API.CONSUMER.{verb}.{COMMANDS}.*"),
        local_subject: Some(format!("{NODE_API_PREFIX}.CONSUMER.{verb}.{COMMANDS}.*")),
        responses,
        remembered,
    };
    let settled = format!("$JS.ACK.{COMMANDS}.*.>");
    vec![
        api("consumer info", "INFO", ResponseType::Singleton, remembered::REQUEST),
        api("next commands", "MSG.NEXT", ResponseType::Stream, remembered::PULL),
        Opening::plain("settle commands", settled, remembered::UNANSWERED),
        Opening::plain("acks", ALL_ACKS, remembered::REQUEST),
        Opening::plain("events", ALL_EVENTS, remembered::REQUEST),
        Opening::plain("heartbeats", ALL_HEARTBEATS, remembered::UNANSWERED),
        Opening::plain("sync", ALL_SYNCS, remembered::HANDSHAKE),
        Opening::plain("sign", ALL_SIGNS, remembered::REQUEST),
        Opening::plain("intents", ALL_INTENTS, remembered::REQUEST),
    ]
}

fn node_requests_import(nodes: &AccountKey) -> Import {
    Import {
        name: "node requests".to_owned(),
        subject: ALL_NODE_REQUESTS.to_owned(),
        account: nodes.as_str().to_owned(),
        local_subject: None,
        kind: SharingKind::Service,
    }
}

fn service(
    name: &str,
    subject: impl Into<String>,
    response_type: ResponseType,
    response_threshold: Option<i64>,
) -> Export {
    Export {
        name: name.to_owned(),
        subject: subject.into(),
        kind: SharingKind::Service,
        response_type,
        response_threshold,
    }
}

/// Has the account of management forget requests without a reply when it should today; everything else in it stays. Says whether anything
/// changed.
pub(crate) fn forget_requests_in_time(account: &mut AccountClaims) -> bool {
    let wanted: Vec<Export> = openings().into_iter().map(Opening::export).collect();
    let mut changed = false;
    for export in &mut account.exports {
        let Some(ours) = wanted.iter().find(|ours| ours.subject == export.subject) else {
            continue;
        };
        changed |= export.response_threshold != ours.response_threshold;
        export.response_threshold = ours.response_threshold;
    }
    changed
}

/// The part of a wildcard subject that belongs to one node: `a.*` becomes `a.<node>`, `a.>` becomes `a.<node>.>`.
fn of_one_node(subject: &str) -> String {
    if subject.contains(".*") {
        subject.replacen('*', NAME, 1)
    } else {
        subject.replacen('>', &format!("{NAME}.>"), 1)
    }
}

#[cfg(test)]
mod tests {
    use nkeys::KeyPair;

    use super::*;

    #[test]
    fn a_node_has_exactly_these_permissions() {
        let template = node_template();
        assert_eq!(
            template.publish.allow,
            [
                "jsvpn.CONSUMER.INFO.VPN_COMMANDS.{{name()}}",
                "jsvpn.CONSUMER.MSG.NEXT.VPN_COMMANDS.{{name()}}",
                "$JS.ACK.VPN_COMMANDS.{{name()}}.>",
                "vpn.ack.{{name()}}.>",
                "vpn.event.{{name()}}.>",
                "vpn.health.{{name()}}",
                "vpn.sync.{{name()}}",
                "vpn.sign.{{name()}}",
                "vpn.intent.{{name()}}",
            ]
        );
        assert_eq!(
            template.subscribe.allow,
            ["_INBOX.{{name()}}.>", "vpn.node.{{name()}}.>"]
        );
        assert_eq!(
            template.responses,
            Some(ResponsePermission {
                max: 1,
                ttl: 5_000_000_000
            })
        );
    }

    #[test]
    fn no_permission_of_a_node_reaches_beyond_its_own_name() {
        let template = node_template();
        for subject in template.publish.allow.iter().chain(&template.subscribe.allow) {
            let (before, after) = subject
                .split_once(NAME)
                .unwrap_or_else(|| panic!("{subject} names no node"));
            assert!(!before.contains(['*', '>']), "{subject} has a wildcard before the node");
            assert!(after.is_empty() || after == ".>", "{subject} ends oddly");
        }
    }

    #[test]
    fn each_import_of_the_nodes_is_an_export_of_management_and_back() {
        let key = || KeyPair::new_account().public_key().parse::<AccountKey>().unwrap();
        let (vpn, nodes, signing) = (key(), key(), key());
        let (management, agents) = (vpn_account(&nodes), nodes_account(&vpn, &signing));
        let subjects = |account: &AccountClaims| account.exports.iter().map(|e| e.subject.clone()).collect::<Vec<_>>();
        let imported = |account: &AccountClaims| account.imports.iter().map(|i| i.subject.clone()).collect::<Vec<_>>();
        assert_eq!(subjects(&management), imported(&agents));
        assert_eq!(subjects(&agents), imported(&management));
        assert!(agents.imports.iter().all(|import| import.account == vpn.as_str()));
        assert!(management.imports.iter().all(|import| import.account == nodes.as_str()));
        assert!(
            management
                .exports
                .iter()
                .chain(&agents.exports)
                .all(|export| export.kind == SharingKind::Service)
        );
        assert_eq!(agents.limits.streams, 0, "nodes have no JetStream of their own");
        assert!(
            !subjects(&management)
                .iter()
                .any(|subject| subject.starts_with("vpn.cmd"))
        );
    }

    #[test]
    fn a_request_of_a_node_without_a_reply_is_soon_forgotten_also_on_a_bus_of_before() {
        let key = || KeyPair::new_account().public_key().parse::<AccountKey>().unwrap();
        let fresh = vpn_account(&key());
        let milliseconds = |name: &str| {
            let export = fresh.exports.iter().find(|export| export.name == name).unwrap();
            export.response_threshold.unwrap() / 1_000_000
        };
        let names = ["settle commands", "heartbeats", "acks", "sync", "next commands"];
        assert_eq!(names.map(milliseconds), [500, 500, 5_000, 15_000, 30_000]);
        assert!(fresh.exports.iter().all(|export| export.response_threshold.is_some()));

        let mut old = fresh.clone();
        for export in &mut old.exports {
            export.response_threshold = None;
        }
        assert!(forget_requests_in_time(&mut old));
        assert_eq!(old, fresh);
        assert!(!forget_requests_in_time(&mut old));
    }

    #[test]
    fn only_what_crossed_from_another_account_counts_as_a_request() {
        assert!(is_request_of_management(Some("_R_.JzrGha.x8Ja3L")));
        for diverted in [
            None,
            Some(""),
            Some("$JS.ACK.VPN_COMMANDS.n1.1.1.1.1.0"),
            Some("_INBOX.n1.x"),
            Some("_R_"),
        ] {
            assert!(!is_request_of_management(diverted), "{diverted:?}");
        }
    }
}
