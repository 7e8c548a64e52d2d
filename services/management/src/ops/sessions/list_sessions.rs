//! Lists live sessions. Every node that may have one is asked, and those that do not answer are named.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use sea_orm::{DatabaseConnection, DbErr, FromQueryResult, Statement, Value};
use tokio::time::timeout;
use vpnmanager_nats::{
    device::DeviceName,
    heartbeats::OpenvpnState,
    ids::{CommonName, NodeId},
    listeners::Listener,
    node_requests::{LiveSession, NodeAnswer, NodeRequest, SESSIONS_PAGE},
    username::Username,
};

use crate::{
    app::App,
    domain::{scope::Scope, session_address::has_address, session_id::SessionId},
    ops::{
        nodes::ask::{AskNodeError, ask_node},
        scope::{groups_of, is_within, pools_of},
    },
};

/// Nodes that are asked at the same time.
const CONCURRENCY: usize = 32;
/// How long one node may take to tell all its sessions.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most sessions that one node may tell: an OpenVPN has far fewer. Only those are held that may be on the page.
const MOST_OF_ONE_NODE: usize = 65_536;

/// Which sessions to list; a session must match all fields that are set.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Sessions of this user.
    pub username: Option<Username>,
    /// Sessions on this node.
    pub server_id: Option<NodeId>,
    /// Sessions whose client has this address inside the tunnel, or connects from it.
    pub address: Option<IpAddr>,
    /// Sessions whose client came to this listener of their node.
    pub listener: Option<Listener>,
    /// What the caller is narrowed to: the sessions of users who are in it, on nodes that it sees.
    pub scope: Scope,
}

/// One live session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Its name in the fleet.
    pub id: SessionId,
    /// Its user. `None`: the credential is of no user that the node holds.
    pub username: Option<Username>,
    /// The device of the user; `None` where there is no user, or where the certificate is one of an old server.
    pub device: Option<DeviceName>,
    /// What the node says of it.
    pub session: LiveSession,
}

/// A page of sessions.
#[derive(Debug, Clone, Default)]
pub struct Listed {
    /// The newest first.
    pub sessions: Vec<SessionView>,
    /// The nodes whose sessions are not among them.
    pub missing: Vec<Missing>,
}

/// A node whose sessions are not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The node.
    pub node: NodeId,
    /// Why, for people.
    pub reason: String,
}

/// Lists up to `limit` sessions that come after the session `after`.
pub async fn list_sessions(
    app: &App,
    filter: &SessionFilter,
    after: Option<&SessionId>,
    limit: u64,
) -> Result<Listed, DbErr> {
    let certificates = match &filter.username {
        Some(username) => Some(certificates_of(&app.db, username, &filter.scope).await?),
        None => None,
    };
    let page = &Page {
        // Those of one user are in it.
        scope: (certificates.is_none() && !filter.scope.is_whole()).then_some(&filter.scope),
        certificates,
        address: filter.address,
        listener: filter.listener,
        after,
        limit: usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let told = stream::iter(nodes_to_ask(&app.db, filter).await?)
        .map(|node| async move { (node.name.clone(), told_by(app, &node, page).await) })
        .buffer_unordered(CONCURRENCY)
        .collect::<Vec<_>>()
        .await;
    let (mut sessions, mut missing) = (Vec::new(), Vec::new());
    for (node, answer) in told {
        match answer {
            Ok(live) => sessions.extend(live),
            Err(Untold::Why(reason)) => missing.push(Missing { node, reason }),
            Err(Untold::Database(error)) => return Err(error),
        }
    }
    page.cut(&mut sessions);
    missing.sort_by(|one, other| one.node.cmp(&other.node));
    Ok(Listed {
        sessions: with_owners(&app.db, sessions).await?,
        missing,
    })
}

/// Which sessions are asked for.
struct Page<'a> {
    /// Those by one of these certificates; `None`: all.
    certificates: Option<Certificates>,
    /// Those of users in this scope; `None`: all. They are looked up for what a node tells: a scope may have a million users.
    scope: Option<&'a Scope>,
    /// Those with this address; `None`: all.
    address: Option<IpAddr>,
    /// Those on this listener; `None`: all.
    listener: Option<Listener>,
    /// Those after this one.
    after: Option<&'a SessionId>,
    /// The first so many of them.
    limit: usize,
}

impl Page<'_> {
    fn may_hold(&self, id: &SessionId, live: &LiveSession) -> bool {
        let is_wanted = |certificates: &Certificates| certificates.has(&id.node, &live.common_name);
        self.certificates.as_ref().is_none_or(is_wanted)
            && self.address.is_none_or(|address| has_address(live, address))
            && self.listener.is_none_or(|listener| live.listener == Some(listener))
            && self.after.is_none_or(|after| id > after)
    }

    /// Leaves those of users in the scope, of what a node tells.
    async fn leave_seen(
        &self,
        db: &DatabaseConnection,
        node: &NodeId,
        told: Vec<(SessionId, LiveSession)>,
    ) -> Result<Vec<(SessionId, LiveSession)>, DbErr> {
        let Some(scope) = self.scope.filter(|_| !told.is_empty()) else {
            return Ok(told);
        };
        let names = told.iter().map(|(_, live)| live.common_name.to_string()).collect();
        let seen = certificates_among(db, scope, node, names).await?;
        let told = told.into_iter();
        Ok(told.filter(|(_, live)| seen.has(node, &live.common_name)).collect())
    }

    /// Leaves those that may be on the page, in order.
    fn cut(&self, sessions: &mut Vec<(SessionId, LiveSession)>) {
        sessions.sort_by(|(one, _), (other, _)| one.cmp(other));
        sessions.dedup_by(|(one, _), (other, _)| one == other);
        sessions.truncate(self.limit);
    }
}

fn named(node: &NodeId, live: LiveSession) -> Option<(SessionId, LiveSession)> {
    let id = SessionId::new(node.clone(), live.since, live.cid?)?;
    Some((id, live))
}

#[derive(FromQueryResult)]
struct Candidate {
    name: NodeId,
    openvpn_state: Option<OpenvpnState>,
}

/// The nodes that may have such a session: those of the filter, and of a user those that hold her.
async fn nodes_to_ask(db: &DatabaseConnection, filter: &SessionFilter) -> Result<Vec<Candidate>, DbErr> {
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT s.name, h.openvpn_state FROM servers s LEFT JOIN health_status h ON h.server_id = s.name
         WHERE ($1::text IS NULL OR s.name = $1)
           AND ($2::text IS NULL OR EXISTS (
                SELECT FROM users u JOIN placements p ON p.user_id = u.id WHERE u.username = $2 AND p.server_id = s.name))
           AND ($3::text[] IS NULL OR s.pool = ANY($3))
         ORDER BY s.name",
        [
            filter.server_id.as_ref().map(ToString::to_string).into(),
            filter.username.as_ref().map(ToString::to_string).into(),
            pools_of(&filter.scope),
        ],
    );
    Candidate::find_by_statement(statement).all(db).await
}

/// Why the sessions of a node are not known.
enum Untold {
    /// For people.
    Why(String),
    /// Nobody can say whose they are.
    Database(DbErr),
}

impl From<String> for Untold {
    fn from(why: String) -> Self {
        Self::Why(why)
    }
}

impl From<DbErr> for Untold {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}

/// Certificates of users.
struct Certificates {
    /// Credentials, which are good on all nodes of their user.
    credentials: HashSet<CommonName>,
    /// Those of old servers, each good on one node.
    old: HashSet<(NodeId, CommonName)>,
}

impl Certificates {
    fn has(&self, node: &NodeId, common_name: &CommonName) -> bool {
        self.credentials.contains(common_name) || self.old.contains(&(node.clone(), common_name.clone()))
    }
}

#[derive(FromQueryResult)]
struct CertificateRow {
    common_name: CommonName,
    /// Of one of an old server.
    node: Option<NodeId>,
}

/// All certificates of the users of that name in the scope, also of one that is being removed and of those that are revoked: a session may still
/// live.
async fn certificates_of(db: &DatabaseConnection, username: &Username, scope: &Scope) -> Result<Certificates, DbErr> {
    let within = is_within("u", "$1", "$2");
    let sql = format!(
        "SELECT c.common_name, NULL AS node FROM users u JOIN credentials c ON c.user_id = u.id
         WHERE u.username = $3 AND {within}
         UNION ALL
         SELECT o.common_name, o.server_id FROM users u JOIN old_certificates o ON o.user_id = u.id
         WHERE u.username = $3 AND {within}"
    );
    let values = vec![groups_of(scope), pools_of(scope), username.to_string().into()];
    read_certificates(db, sql, values).await
}

/// Those of these certificates, which a node names, whose users are in the scope.
async fn certificates_among(
    db: &DatabaseConnection,
    scope: &Scope,
    node: &NodeId,
    names: Vec<String>,
) -> Result<Certificates, DbErr> {
    let within = is_within("u", "$1", "$2");
    let sql = format!(
        "SELECT c.common_name, NULL AS node FROM credentials c JOIN users u ON u.id = c.user_id
         WHERE c.common_name = ANY($3) AND {within}
         UNION ALL
         SELECT o.common_name, o.server_id FROM old_certificates o JOIN users u ON u.id = o.user_id
         WHERE o.server_id = $4 AND o.common_name = ANY($3) AND {within}"
    );
    let values = vec![groups_of(scope), pools_of(scope), names.into(), node.to_string().into()];
    read_certificates(db, sql, values).await
}

async fn read_certificates(db: &DatabaseConnection, sql: String, values: Vec<Value>) -> Result<Certificates, DbErr> {
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let (mut credentials, mut old) = (HashSet::new(), HashSet::new());
    for row in CertificateRow::find_by_statement(statement).all(db).await? {
        match row.node {
            None => credentials.insert(row.common_name),
            Some(node) => old.insert((node, row.common_name)),
        };
    }
    Ok(Certificates { credentials, old })
}

/// The sessions of a node that may be on the page, or why they are not known, for people.
async fn told_by(app: &App, node: &Candidate, page: &Page<'_>) -> Result<Vec<(SessionId, LiveSession)>, Untold> {
    if node.openvpn_state == Some(OpenvpnState::Absent) {
        let why = "its agent watches no OpenVPN server (OPENVPN_MODE is none)";
        return Err(Untold::Why(why.to_owned()));
    }
    match timeout(PATIENCE, ask_for_all(app, &node.name, page)).await {
        Ok(told) => told,
        Err(_elapsed) => Err(format!("it did not tell all within {} s", PATIENCE.as_secs()).into()),
    }
}

async fn ask_for_all(app: &App, node: &NodeId, page: &Page<'_>) -> Result<Vec<(SessionId, LiveSession)>, Untold> {
    let (mut kept, mut told) = (Vec::new(), 0);
    while told < MOST_OF_ONE_NODE {
        let offset = u32::try_from(told).unwrap_or(u32::MAX);
        let answer = ask_node(app, node, NodeRequest::Sessions { offset }).await;
        let (some, more) = match answer.map_err(|error| unanswered(&error))? {
            NodeAnswer::Sessions { sessions, more } => (sessions, more),
            NodeAnswer::Failed { error } => return Err(error.into()),
            NodeAnswer::Profile { .. }
            | NodeAnswer::ProfileParts(_)
            | NodeAnswer::Users { .. }
            | NodeAnswer::Disconnected { .. }
            | NodeAnswer::Acked { .. }
            | NodeAnswer::NotFound { .. }
            | NodeAnswer::Done => return Err("it answered another request".to_owned().into()),
        };
        if some.iter().any(|session| session.cid.is_none()) {
            let why = "its agent is older than this management and does not number its sessions: update the agent";
            return Err(Untold::Why(why.to_owned()));
        }
        let is_whole = some.len() >= SESSIONS_PAGE;
        told += some.len();
        let some = some.into_iter().filter_map(|live| named(node, live));
        let some = some.filter(|(id, live)| page.may_hold(id, live)).collect();
        kept.extend(page.leave_seen(&app.db, node, some).await?);
        page.cut(&mut kept);
        if !(more && is_whole) {
            return Ok(kept);
        }
    }
    Err(format!("it tells of more than {MOST_OF_ONE_NODE} sessions").into())
}

fn unanswered(error: &AskNodeError) -> String {
    match error {
        AskNodeError::Unreachable => "it cannot be reached".to_owned(),
        AskNodeError::Request(_) => "it could not be asked".to_owned(),
        AskNodeError::Answer(_) => "its answer cannot be read".to_owned(),
    }
}

#[derive(FromQueryResult)]
struct Owner {
    common_name: CommonName,
    server_id: NodeId,
    username: Username,
    device: Option<DeviceName>,
}

/// Adds the users and their devices. A node speaks of its own users only: of another one it gets no name into the list.
async fn with_owners(
    db: &DatabaseConnection,
    sessions: Vec<(SessionId, LiveSession)>,
) -> Result<Vec<SessionView>, DbErr> {
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let told = sessions.iter();
    let (names, nodes): (Vec<String>, Vec<String>) = told
        .map(|(id, live)| (live.common_name.to_string(), id.node.to_string()))
        .unzip();
    let statement = Statement::from_sql_and_values(
        db.get_database_backend(),
        "SELECT c.common_name, p.server_id, u.username, c.device
         FROM credentials c JOIN users u ON u.id = c.user_id JOIN placements p ON p.user_id = u.id
         WHERE c.common_name = ANY($1) AND (p.wanted_present OR u.removed_at IS NOT NULL)
         UNION ALL
         SELECT o.common_name, o.server_id, u.username, NULL
         FROM (SELECT DISTINCT common_name, node FROM UNNEST($1::text[], $2::text[]) AS t (common_name, node)) AS t
         CROSS JOIN LATERAL (
             SELECT common_name, server_id, user_id FROM old_certificates
             WHERE server_id = t.node AND common_name = t.common_name ORDER BY id DESC LIMIT 1) AS o
         JOIN users u ON u.id = o.user_id",
        [names.into(), nodes.into()],
    );
    let owners = Owner::find_by_statement(statement).all(db).await?;
    let owners: HashMap<(CommonName, NodeId), (Username, Option<DeviceName>)> = owners
        .into_iter()
        .map(|owner| ((owner.common_name, owner.server_id), (owner.username, owner.device)))
        .collect();
    let views = sessions.into_iter().map(|(id, session)| {
        let owner = owners.get(&(session.common_name.clone(), id.node.clone())).cloned();
        let (username, device) = owner.unzip();
        SessionView {
            id,
            username,
            device: device.flatten(),
            session,
        }
    });
    Ok(views.collect())
}
