//! Which credential has which fixed address. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use vpnmanager_nats::{groups::GroupName, ids::CommonName};

use super::{layout::Layout, place::Place};

/// The fixed addresses that are given. An address belongs to one credential, and a block to one group.
#[derive(Debug)]
pub(super) struct Book {
    pub(super) layout: Layout,
    held: HashMap<CommonName, Held>,
    /// The blocks that belong to a group: those in which a credential has an address.
    blocks: BTreeMap<u32, Block>,
    /// The address that was given last in each block, also in one that belongs to nobody any more.
    last_given: BTreeMap<u32, u32>,
    /// Those that found no address, with their groups.
    waiting: BTreeMap<CommonName, GroupName>,
}

/// The place of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) place: Place,
    /// Whether the journal has it. It does not have what was found on the allow-list after the journal was lost.
    pub(super) is_journaled: bool,
}

/// A block of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) group: GroupName,
    /// The addresses that nobody has.
    pub(super) free: BTreeSet<u32>,
}

/// What becomes of one credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// It has this place, and the journal knows that.
    Placed(Place),
    /// There is no address left for its group.
    Waiting(GroupName),
    /// It needs none.
    Gone,
}

impl Block {
    /// A block of this group in which nobody has an address.
    pub(super) fn empty(layout: Layout, block: u32, group: GroupName) -> Self {
        Self {
            group,
            free: layout.hosts_of(block).collect(),
        }
    }

    /// Whether a member of this group can get an address in it.
    pub(super) fn has_room_for(&self, group: &GroupName) -> bool {
        self.group == *group && !self.free.is_empty()
    }

    /// Takes the next free address behind this one, or else the first: the kernel goes on for a while to know of connections of an address
    /// that was given back.
    pub(super) fn take_behind(&mut self, last: Option<u32>) -> Option<u32> {
        let behind = last.and_then(|last| self.free.range(last.saturating_add(1)..).next().copied());
        let host = behind.or_else(|| self.free.first().copied())?;
        self.free.remove(&host);
        Some(host)
    }
}

impl Book {
    pub(super) fn new(layout: Layout) -> Self {
        Self {
            layout,
            held: HashMap::new(),
            blocks: BTreeMap::new(),
            last_given: BTreeMap::new(),
            waiting: BTreeMap::new(),
        }
    }

    pub(super) fn held(&self, name: &CommonName) -> Option<&Held> {
        self.held.get(name)
    }

    pub(super) fn blocks(&self) -> &BTreeMap<u32, Block> {
        &self.blocks
    }

    /// The address that was given last in this block.
    pub(super) fn last_given(&self, block: u32) -> Option<u32> {
        self.last_given.get(&block).copied()
    }

    pub(super) fn waiting(&self) -> &BTreeMap<CommonName, GroupName> {
        &self.waiting
    }

    /// Whether no credential has a fixed address.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &CommonName> {
        self.held.keys()
    }

    /// Those whose places the journal does not have.
    pub(super) fn unjournaled(&self) -> impl Iterator<Item = &CommonName> {
        let held = self.held.iter().filter(|(_, held)| !held.is_journaled);
        held.map(|(name, _)| name)
    }

    /// Gives a place that was given before, if it can still be had: in this network, in no block of another group, and nobody else has it.
    pub(super) fn restore(&mut self, name: CommonName, held: Held) -> bool {
        let Place { group, host } = &held.place;
        let Some(number) = self.layout.block_of(*host) else {
            return false;
        };
        let is_free = match self.blocks.get(&number) {
            Some(block) => block.group == *group && block.free.contains(host),
            None => self.layout.may_be_given(*host),
        };
        if !is_free || self.held.contains_key(&name) {
            return false;
        }
        self.seat(name, held);
        true
    }

    /// Carries out what a draft has decided, which gave these addresses last in blocks. True when another block belongs to a group than before.
    pub(super) fn change(&mut self, changes: BTreeMap<CommonName, Change>, last_given: BTreeMap<u32, u32>) -> bool {
        let before = self.owners();
        self.last_given.extend(last_given);
        // First all addresses that become free: none of them is given again in the same draft.
        for name in changes.keys() {
            self.waiting.remove(name);
            self.unseat(name);
        }
        for (name, change) in changes {
            match change {
                Change::Placed(place) => {
                    let held = Held {
                        place,
                        is_journaled: true,
                    };
                    self.seat(name, held);
                }
                Change::Waiting(group) => _ = self.waiting.insert(name, group),
                Change::Gone => {}
            }
        }
        before != self.owners()
    }

    /// Whose each block is.
    pub(super) fn owners(&self) -> BTreeMap<u32, GroupName> {
        let owners = self.blocks.iter();
        owners.map(|(number, block)| (*number, block.group.clone())).collect()
    }

    fn seat(&mut self, name: CommonName, held: Held) {
        let Place { group, host } = &held.place;
        if let Some(number) = self.layout.block_of(*host) {
            let (layout, group) = (self.layout, group.clone());
            let block = self.blocks.entry(number);
            let block = block.or_insert_with(|| Block::empty(layout, number, group));
            block.free.remove(host);
        }
        self.held.insert(name, held);
    }

    fn unseat(&mut self, name: &CommonName) {
        let Some(Held { place, .. }) = self.held.remove(name) else {
            return;
        };
        let Some(number) = self.layout.block_of(place.host) else {
            return;
        };
        if let Some(block) = self.blocks.get_mut(&number) {
            block.free.insert(place.host);
            if block.free.len() == self.layout.hosts_of(number).count() {
                self.blocks.remove(&number);
            }
        }
    }
}
