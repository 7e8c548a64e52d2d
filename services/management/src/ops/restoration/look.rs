//! Looks at what the bus and the nodes hold. Nothing is changed.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::client::SubscribeError;
use chrono::DateTime;
use futures_util::{StreamExt as _, stream};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, FromQueryResult, Statement};
use tokio::time::{Instant, timeout, timeout_at};
use vpnmanager_entities::{bus_stream, server};
use vpnmanager_nats::{
    connect::Bus,
    holdings::HeldUser,
    ids::{NodeId, Revision, UserKey},
    node_requests::{NodeAnswer, NodeRequest},
    subjects::{self, FromNode},
    topology::{COMMANDS, Topology, TopologyError},
};

use crate::{
    domain::restoration::sightings::{Sightings, Source},
    ops::nodes::ask::{AskNodeError, ask_over},
};

/// Nodes that are asked at the same time.
const CONCURRENT: usize = 16;
/// How long a node may take to tell all. A million users take half a minute.
const TOLD_WITHIN: Duration = Duration::from_secs(5 * 60);
/// The most names that a node is listened to about, users, credentials and certificates: so many, and for each of its users so many more. A
/// stolen node must not fill the memory.
const MOST_NAMES: usize = 200_000;
const NAMES_OF_A_USER: usize = 24;

/// Why nothing is known of the fleet.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The database.
    #[error("reading the database failed")]
    Database(#[from] DbErr),
    /// The bus.
    #[error("reading the bus failed")]
    Bus(#[from] TopologyError),
    /// The heartbeats cannot be heard.
    #[error("listening to the nodes failed")]
    Listen(#[source] SubscribeError),
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    /// Who holds what.
    pub sightings: Sightings,
    /// Nodes that are there and that the file does not know: they enrolled since.
    pub unknown_nodes: BTreeSet<NodeId>,
    /// Commands that could not be read.
    pub unreadable: usize,
}

/// Reads the commands in the bus, listens for nodes as long as that, and asks all nodes what they hold.
pub async fn look(
    db: &DatabaseConnection,
    bus: &Bus,
    topology: &Topology,
    listen: Duration,
) -> Result<Found, LookError> {
    let known: BTreeSet<NodeId> = server::Entity::find()
        .all(db)
        .await?
        .into_iter()
        .map(|node| node.name)
        .collect();
    let mut sightings = read_placed(db).await?;
    sightings.same_store = has_same_store(db, topology).await?;
    let mut all = known.clone();
    all.extend(hear(bus, listen).await?);
    let mut unreadable = 0;
    let read = topology.read_commands(|command| match command {
        Ok(command) => {
            let node = command.node().clone();
            sightings.note(&node, Source::Stream, HeldUser::from(&command));
            all.insert(node);
        }
        Err(held) => {
            unreadable += 1;
            if let Some((node, user)) = subjects::node_of_command(&held.subject).zip(held.user) {
                sightings.note_unread(&node, user, held.revision);
                all.insert(node);
            }
        }
    });
    read.await?;

    let shared = Mutex::new(sightings);
    let noted = &shared;
    let asked = stream::iter(all.iter().cloned()).map(|node| async move {
        let told = timeout(TOLD_WITHIN, ask(bus, &node, noted)).await;
        let told = told.unwrap_or(Err("it takes too long to tell"));
        (node, told)
    });
    let mut asked = asked.buffer_unordered(CONCURRENT);
    while let Some((node, told)) = asked.next().await {
        match told {
            Ok(()) => {
                locked(&shared).answered.insert(node);
            }
            Err(why) => {
                locked(&shared).silent.insert(node, why);
            }
        }
    }
    drop(asked);
    Ok(Found {
        unknown_nodes: all.difference(&known).cloned().collect(),
        sightings: shared.into_inner().unwrap_or_else(PoisonError::into_inner),
        unreadable,
    })
}

#[derive(FromQueryResult)]
struct Placed {
    key: UserKey,
    revision: i64,
    server_id: Option<NodeId>,
}

/// Who is where, as the file says.
async fn read_placed(db: &impl ConnectionTrait) -> Result<Sightings, DbErr> {
    let placed = Placed::find_by_statement(Statement::from_string(
        db.get_database_backend(),
        "SELECT u.key, u.revision, p.server_id FROM users u LEFT JOIN placements p ON p.user_id = u.id AND p.wanted_present ORDER BY u.id",
    ));
    let mut sightings = Sightings::default();
    for Placed {
        key,
        revision,
        server_id,
    } in placed.all(db).await?
    {
        sightings.knows(key, Revision(revision));
        if let Some(node) = server_id {
            sightings.place(key, &node);
        }
    }
    Ok(sightings)
}

fn locked(shared: &Mutex<Sightings>) -> MutexGuard<'_, Sightings> {
    // What was noted before a panic is as true as before.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the bus has the store that the file knows: then what is not in it any more was taken out since.
async fn has_same_store(db: &DatabaseConnection, topology: &Topology) -> Result<bool, LookError> {
    let found = topology.commands_store().await?;
    let known = bus_stream::Entity::find_by_id(COMMANDS).one(db).await?;
    let found = DateTime::from_timestamp_micros(found.0).unwrap_or_default();
    Ok(known.is_some_and(|known| known.created_at == found && known.marked_upto.is_none()))
}

/// The nodes whose heartbeats come within that time.
async fn hear(bus: &Bus, listen: Duration) -> Result<BTreeSet<NodeId>, LookError> {
    let heartbeats = bus.client.subscribe(subjects::ALL_HEARTBEATS).await;
    let mut heartbeats = heartbeats.map_err(LookError::Listen)?;
    let until = Instant::now() + listen;
    let mut heard = BTreeSet::new();
    while let Ok(Some(message)) = timeout_at(until, heartbeats.next()).await {
        heard.extend(FromNode::parse(&message.subject).map(|from| from.node().clone()));
    }
    Ok(heard)
}

/// Notes what the node holds, page by page; an error says why that is not all.
async fn ask(bus: &Bus, node: &NodeId, shared: &Mutex<Sightings>) -> Result<(), &'static str> {
    let placed = locked(shared).placed_on(node);
    let mut listening = Listening {
        node,
        shared,
        last: None,
        room: MOST_NAMES + NAMES_OF_A_USER * placed,
    };
    loop {
        let request = NodeRequest::Users { after: listening.last };
        match ask_over(&bus.client, node, request).await {
            Ok(NodeAnswer::Users { users, more, complete }) => {
                let is_empty = users.is_empty();
                listening.note(users)?;
                match (more, complete) {
                    (true, _) if is_empty => return Err("it says again and again that there are more"),
                    (true, _) => {}
                    (false, true) => return Ok(()),
                    (false, false) => return Err("it does not hold all that it should"),
                }
            }
            Ok(NodeAnswer::Failed { .. }) => return Err("its agent is too old to tell what it holds"),
            Ok(
                NodeAnswer::Profile { .. }
                | NodeAnswer::ProfileParts(_)
                | NodeAnswer::Sessions { .. }
                | NodeAnswer::Disconnected { .. }
                | NodeAnswer::Acked { .. }
                | NodeAnswer::Done
                | NodeAnswer::NotFound { .. },
            ) => return Err("it answered another request"),
            Err(AskNodeError::Unreachable) => return Err("it does not answer"),
            Err(AskNodeError::Request(_) | AskNodeError::Answer(_)) => return Err("its answer cannot be read"),
        }
    }
}

/// A node that is telling what it holds.
struct Listening<'a> {
    node: &'a NodeId,
    shared: &'a Mutex<Sightings>,
    /// The last of its users that was told.
    last: Option<UserKey>,
    /// So many names more are listened to.
    room: usize,
}

impl Listening<'_> {
    fn note(&mut self, users: Vec<HeldUser>) -> Result<(), &'static str> {
        let mut sightings = locked(self.shared);
        for held in users {
            // So each user is told once, and there is an end.
            if self.last.is_some_and(|last| held.user_key <= last) {
                return Err("its users do not come in the order of their keys");
            }
            self.last = Some(held.user_key);
            self.room = self
                .room
                .checked_sub(names(&held))
                .ok_or("it tells of more than a server can hold")?;
            sightings.note(self.node, Source::Node, held);
        }
        Ok(())
    }
}

/// The names and serial numbers that are told of a user.
fn names(held: &HeldUser) -> usize {
    let of_access = held.access.as_ref().map_or(0, |access| {
        let old = access.old_certificates.iter();
        access.credentials.len() + old.map(|old| 1 + old.revoked.len()).sum::<usize>()
    });
    1 + of_access
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::holdings::HeldAccess;

    use super::*;

    fn held(credentials: usize) -> HeldUser {
        HeldUser {
            user_key: UserKey::new(),
            username: "mallory".parse().expect("a username"),
            revision: Revision(1),
            access: Some(HeldAccess {
                active: true,
                expires_at: None,
                credentials: vec!["mallory.1".parse().expect("a common name"); credentials],
                old_certificates: Vec::new(),
                cut: false,
            }),
        }
    }

    #[test]
    fn a_node_that_tells_without_end_or_out_of_order_is_not_listened_to() {
        let node: NodeId = "node-1".parse().expect("a node");
        let shared = Mutex::new(Sightings::default());
        let listening = |room| Listening {
            node: &node,
            shared: &shared,
            last: None,
            room,
        };
        let mut users = vec![held(1), held(1)];
        users.sort_by_key(|held| held.user_key);
        listening(4).note(users.clone()).expect("in order");
        listening(3).note(users.clone()).expect_err("too many");
        let twice = vec![users[0].clone(), users[0].clone()];
        listening(9).note(twice).expect_err("twice");
        users.reverse();
        listening(9).note(users).expect_err("out of order");
        listening(9).note(vec![held(9)]).expect_err("too much of one");
    }
}
