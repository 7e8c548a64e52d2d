//! What was found on the fleet, and whose word counts: that of the stream, which only management writes, about everybody; that of a node about the
//! users alone whom file and stream place on it. A stolen node can say what it likes of the users of others: it ends nobody's access and gives
//! none back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use vpnmanager_nats::{
    holdings::{HeldAccess, HeldUser},
    ids::{CommonName, NodeId, Revision, UserKey},
    username::Username,
};

use super::filed::Expected;
use crate::domain::acks::MOST_RAISED;

/// Who says what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The stream of commands, which only management writes.
    Stream,
    /// A node.
    Node,
}

/// All that was found on the fleet. The stream comes before the nodes: it says where users are by now.
#[derive(Debug, Default)]
pub struct Sightings {
    nodes: Nodes,
    known: HashMap<UserKey, Known>,
    seen: HashMap<UserKey, Seen>,
    /// The newest that nodes say of users of the file who are not theirs.
    claims: HashMap<UserKey, (Place, HeldUser)>,
    strangers: HashMap<UserKey, SeenStranger>,
    /// Nodes of which the stream has anything.
    in_stream: HashSet<Place>,
    /// Whether the bus has the store that it had when the backup was made.
    pub same_store: bool,
    /// Nodes that told all that they hold.
    pub answered: HashSet<NodeId>,
    /// Nodes that told nothing, or not all, and why, for people.
    pub silent: BTreeMap<NodeId, &'static str>,
}

/// The number of a node in [`Nodes`].
type Place = u32;

/// The nodes by number: of a million users each is at some.
#[derive(Debug, Default)]
struct Nodes {
    numbers: HashMap<NodeId, Place>,
    names: Vec<NodeId>,
    /// How many users are placed on each.
    users: Vec<usize>,
}

/// A user of the file.
#[derive(Debug)]
struct Known {
    revision: Revision,
    /// The nodes whose word counts.
    places: Vec<Place>,
}

/// What was found of a user of the file.
#[derive(Debug, Default)]
struct Seen {
    /// Who holds the user.
    at: Vec<(Place, Source)>,
    /// What is newer than the file.
    newer: Vec<Word>,
    /// The greatest revision of a command that could not be read.
    unread: Option<Revision>,
}

/// What somebody holds of a user.
#[derive(Debug)]
struct Word {
    place: Place,
    revision: Revision,
    access: Option<HeldAccess>,
}

#[derive(Debug)]
struct SeenStranger {
    username: Username,
    credentials: Vec<CommonName>,
    at: BTreeSet<Place>,
}

/// What a node says of a user.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The node.
    pub node: &'a NodeId,
    /// The revision.
    pub revision: Revision,
    /// Who is let in; `None`: nobody, the user is to be removed there.
    pub access: Option<&'a HeldAccess>,
}

/// A user whom the fleet holds and the file does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// The user on the bus.
    pub key: UserKey,
    /// The name.
    pub username: Username,
    /// The credentials that are accepted.
    pub credentials: Vec<CommonName>,
    /// The nodes that hold the user.
    pub nodes: Vec<NodeId>,
}

impl Nodes {
    fn number(&mut self, node: &NodeId) -> Place {
        if let Some(place) = self.numbers.get(node) {
            return *place;
        }
        let place = Place::try_from(self.names.len()).unwrap_or(Place::MAX);
        self.names.push(node.clone());
        self.users.push(0);
        self.numbers.insert(node.clone(), place);
        place
    }

    fn name(&self, place: Place) -> Option<&NodeId> {
        self.names.get(usize::try_from(place).ok()?)
    }

    fn count(&mut self, place: Place) -> Option<&mut usize> {
        self.users.get_mut(usize::try_from(place).ok()?)
    }
}

impl Sightings {
    /// Notes that the file has this user.
    pub fn knows(&mut self, key: UserKey, revision: Revision) {
        self.known.entry(key).or_insert(Known {
            revision,
            places: Vec::new(),
        });
    }

    /// Notes that this user is on this node, by the file or by the stream.
    pub fn place(&mut self, key: UserKey, node: &NodeId) {
        let place = self.nodes.number(node);
        let Some(known) = self.known.get_mut(&key) else { return };
        if !known.places.contains(&place) {
            known.places.push(place);
            if let Some(users) = self.nodes.count(place) {
                *users += 1;
            }
        }
    }

    /// Notes that this user is not on this node any more, as the stream says.
    fn withdraw(&mut self, key: UserKey, place: Place) {
        let Some(known) = self.known.get_mut(&key) else { return };
        if let Some(at) = known.places.iter().position(|other| *other == place) {
            known.places.swap_remove(at);
            if let Some(users) = self.nodes.count(place) {
                *users -= 1;
            }
        }
    }

    /// How many users of the file are placed on the node.
    #[must_use]
    pub fn placed_on(&self, node: &NodeId) -> usize {
        let place = self.nodes.numbers.get(node);
        let users = place.and_then(|place| self.nodes.users.get(usize::try_from(*place).ok()?));
        users.copied().unwrap_or_default()
    }

    /// Notes what somebody holds of a user on a node.
    pub fn note(&mut self, node: &NodeId, source: Source, held: HeldUser) {
        let (key, place) = (held.user_key, self.nodes.number(node));
        if source == Source::Stream {
            self.in_stream.insert(place);
        }
        let Some(revision) = self.known.get(&key).map(|known| known.revision) else {
            return self.note_stranger(place, held);
        };
        let is_present = held.access.is_some();
        // Who is further ahead than that lies.
        let is_newer = held.revision > revision && held.revision.0.saturating_sub(revision.0) <= MOST_RAISED;
        match source {
            Source::Stream if is_present => self.place(key, node),
            Source::Stream if is_newer => self.withdraw(key, place),
            Source::Stream => {}
            Source::Node if self.is_of(key, place) => {}
            Source::Node => return self.note_claim(place, held, is_newer),
        }
        let seen = self.seen.entry(key).or_default();
        if is_present {
            seen.at.push((place, source));
        }
        if is_newer {
            seen.newer.push(Word {
                place,
                revision: held.revision,
                access: held.access,
            });
        }
    }

    /// Notes a command of the stream that could not be read.
    pub fn note_unread(&mut self, node: &NodeId, key: UserKey, revision: Revision) {
        let place = self.nodes.number(node);
        self.in_stream.insert(place);
        let Some(known) = self.known.get(&key).map(|known| known.revision) else {
            return;
        };
        self.place(key, node);
        let seen = self.seen.entry(key).or_default();
        seen.at.push((place, Source::Stream));
        // 0: it does not say.
        if revision > known || revision.0 == 0 {
            seen.unread = seen.unread.max(Some(revision.max(known)));
        }
    }

    /// Of a removal that is none of its business nothing is noted.
    fn note_claim(&mut self, place: Place, held: HeldUser, is_newer: bool) {
        let is_newest = self
            .claims
            .get(&held.user_key)
            .is_none_or(|(_, other)| held.revision > other.revision);
        if is_newer && is_newest && held.access.is_some() {
            self.claims.insert(held.user_key, (place, held));
        }
    }

    fn note_stranger(&mut self, place: Place, held: HeldUser) {
        let Some(access) = held.access else { return };
        let stranger = self.strangers.entry(held.user_key).or_insert_with(|| SeenStranger {
            username: held.username,
            credentials: access.credentials,
            at: BTreeSet::new(),
        });
        stranger.at.insert(place);
    }

    fn is_of(&self, key: UserKey, place: Place) -> bool {
        self.known.get(&key).is_some_and(|known| known.places.contains(&place))
    }

    fn said<'a>(&'a self, word: &'a Word) -> Option<Said<'a>> {
        Some(Said {
            node: self.nodes.name(word.place)?,
            revision: word.revision,
            access: word.access.as_ref(),
        })
    }

    fn newer(&self, key: UserKey) -> &[Word] {
        match self.seen.get(&key) {
            Some(seen) => &seen.newer,
            None => &[],
        }
    }

    /// The newest that is newer than the file. Of one revision a node may have to remove the user, and another one to hold it: it was moved.
    pub(super) fn newest(&self, key: UserKey) -> Option<Said<'_>> {
        let newest = self.newer(key).iter();
        self.said(newest.max_by_key(|word| (word.revision, word.access.is_some()))?)
    }

    /// The newest of each node that is newer than the file.
    pub(super) fn newest_of_each(&self, key: UserKey) -> impl Iterator<Item = Said<'_>> {
        let words = self.newer(key);
        let is_newest = move |word: &&Word| {
            let same = words.iter().filter(|other| other.place == word.place);
            same.map(|other| other.revision).max() == Some(word.revision)
        };
        let mut told = HashSet::new();
        let once = move |word: &&Word| told.insert(word.place);
        words
            .iter()
            .filter(is_newest)
            .filter(once)
            .filter_map(move |word| self.said(word))
    }

    /// The revision of a command that could not be read, and that is newer than all that could.
    pub(super) fn unread(&self, key: UserKey) -> Option<Revision> {
        let unread = self.seen.get(&key)?.unread?;
        self.newest(key)
            .is_none_or(|newest| newest.revision < unread)
            .then_some(unread)
    }

    /// What a node says that it holds newer of a user who is not one of its users.
    pub(super) fn claim(&self, key: UserKey) -> Option<Said<'_>> {
        let (place, held) = self.claims.get(&key)?;
        Some(Said {
            node: self.nodes.name(*place)?,
            revision: held.revision,
            access: held.access.as_ref(),
        })
    }

    /// Whether somebody whose word counts holds the user.
    pub(super) fn is_somewhere(&self, key: UserKey) -> bool {
        self.seen.get(&key).is_some_and(|seen| !seen.at.is_empty())
    }

    /// Whether every place is known where a user may be: no node is silent, or the bus, which is the same, says what it was told.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.same_store || self.silent.is_empty()
    }

    /// Whether the place was looked at, and the user is not there.
    pub(super) fn lacks(&self, key: UserKey, expected: &Expected) -> bool {
        self.left_stream(key, expected) || self.left_node(key, expected)
    }

    /// The same, and it cannot be because the node left the fleet, whose commands go with it.
    pub(super) fn surely_lacks(&self, key: UserKey, expected: &Expected) -> bool {
        let place = self.nodes.numbers.get(&expected.node);
        let has_commands = place.is_some_and(|place| self.in_stream.contains(place));
        self.left_node(key, expected) || (has_commands && self.left_stream(key, expected))
    }

    fn left_stream(&self, key: UserKey, expected: &Expected) -> bool {
        self.same_store && expected.published && !self.is_at(key, &expected.node, Source::Stream)
    }

    fn left_node(&self, key: UserKey, expected: &Expected) -> bool {
        expected.applied && self.answered.contains(&expected.node) && !self.is_at(key, &expected.node, Source::Node)
    }

    fn is_at(&self, key: UserKey, node: &NodeId, source: Source) -> bool {
        let (seen, place) = (self.seen.get(&key), self.nodes.numbers.get(node));
        seen.zip(place)
            .is_some_and(|(seen, place)| seen.at.contains(&(*place, source)))
    }

    /// The nodes on which the file has users, and of which the bus, which is the same, has nothing.
    #[must_use]
    pub fn vanished(&self) -> Vec<NodeId> {
        let numbers = self.nodes.numbers.iter();
        let vanished = numbers
            .filter(|(node, place)| self.same_store && self.placed_on(node) > 0 && !self.in_stream.contains(*place));
        let mut vanished: Vec<NodeId> = vanished.map(|(node, _)| node.clone()).collect();
        vanished.sort();
        vanished
    }

    /// The users whom the fleet holds and the file does not know, by name.
    #[must_use]
    pub fn strangers(&self) -> Vec<Stranger> {
        let strangers = self.strangers.iter().map(|(key, seen)| Stranger {
            key: *key,
            username: seen.username.clone(),
            credentials: seen.credentials.clone(),
            nodes: seen
                .at
                .iter()
                .filter_map(|place| self.nodes.name(*place).cloned())
                .collect(),
        });
        let mut strangers: Vec<Stranger> = strangers.collect();
        strangers.sort_by(|one, other| (&one.username, one.key.0).cmp(&(&other.username, other.key.0)));
        strangers
    }
}
