//! The fixed addresses of members' credentials, shared by all who go by them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::{Ipv4Addr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use vpnmanager_nats::{groups::GroupName, ids::CommonName};

use super::{
    book::{Book, Change, Held},
    enforcement::{Enforced, Enforcement},
    layout::Layout,
    place::{Place, Seat},
};
use crate::{listening::ListenerNumber, some_of::some_of};

/// Which credential has which fixed address. Cheap to clone; all clones are one. The journal holds what is in it ([`Draft`](super::Draft)).
#[derive(Debug, Clone)]
pub struct Places {
    layout: Layout,
    book: Arc<Mutex<Book>>,
    /// Counts the changes of [`Self::blocks`].
    changes: watch::Sender<u64>,
    enforcement: Enforcement,
    /// Of each listener, whether the tunnel of the OpenVPN that runs is divided so.
    divided: Arc<Mutex<Vec<bool>>>,
    /// How many listeners the node has; at least one.
    listeners: usize,
}

impl Places {
    /// In a tunnel that is divided so, which is that of the first listener; nobody has one yet. The tunnels of further listeners are divided in
    /// the same way ([`Layout::beside`]), and whoever has a place has an address in each.
    pub fn new(layout: Layout) -> Self {
        Self {
            layout,
            book: Arc::new(Mutex::new(Book::new(layout))),
            changes: watch::Sender::default(),
            enforcement: Enforcement::default(),
            divided: Arc::default(),
            listeners: 1,
        }
    }

    /// The same of a node with so many listeners, each with a slice of `OPENVPN_NETWORK`. Without it there is one.
    #[must_use]
    pub fn with_listeners(self, listeners: usize) -> Self {
        Self { listeners, ..self }
    }

    /// Takes over what the journal holds: its `members` with their groups, and the `places` that were given. A place that cannot be had in
    /// this network any more is given anew by [`Draft::place`](super::Draft::place); until then its credential waits.
    pub fn load(&self, members: Vec<(CommonName, GroupName)>, places: Vec<(CommonName, Place)>) {
        let mut given: HashMap<CommonName, Place> = places.into_iter().collect();
        let mut fresh = Book::new(self.layout);
        let mut waiting = BTreeMap::new();
        for (name, group) in members {
            let place = given.remove(&name).filter(|place| place.group == group);
            let held = place.map(|place| Held {
                place,
                is_journaled: true,
            });
            if !held.is_some_and(|held| fresh.restore(name.clone(), held)) {
                waiting.insert(name, Change::Waiting(group));
            }
        }
        fresh.change(waiting, BTreeMap::new());
        *self.book() = fresh;
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// Takes over what the allow-list holds of a journal that was lost: who is let in with a fixed address keeps it, and is held to the rules
    /// of her group, until her command comes again.
    pub fn find(&self, found: Vec<(CommonName, Place)>) {
        let is_news = {
            let mut book = self.book();
            let before = book.owners();
            for (name, place) in found {
                let held = Held {
                    place,
                    is_journaled: false,
                };
                book.restore(name, held);
            }
            before != book.owners()
        };
        if is_news {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    /// Those of [`Self::find`] of which no command has come.
    pub fn found(&self) -> BTreeSet<CommonName> {
        self.book().unjournaled().cloned().collect()
    }

    /// How the tunnel of the first listener is divided.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The place of a credential, if its user is in another group than `default`.
    pub fn place_of(&self, name: &CommonName) -> Option<Place> {
        self.book().held(name).map(|held| held.place.clone())
    }

    /// Where a credential logs in.
    pub fn seat_of(&self, name: &CommonName) -> Seat {
        let book = self.book();
        match book.held(name) {
            Some(held) => Seat::Fixed(held.place.clone()),
            None if book.waiting().contains_key(name) => Seat::Waiting,
            None => Seat::Dynamic,
        }
    }

    /// Whose each block is, by its number. Blocks that nobody has are not in it.
    pub fn blocks(&self) -> BTreeMap<u32, GroupName> {
        self.book().owners()
    }

    /// Whether no credential has a place.
    pub fn is_empty(&self) -> bool {
        self.book().is_empty()
    }

    /// The credentials that have one.
    pub fn names(&self) -> Vec<CommonName> {
        self.book().names().cloned().collect()
    }

    /// Counts the changes of [`Self::blocks`].
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Rules are about to be loaded by which these blocks are these groups'.
    pub fn loading(&self, blocks: &BTreeMap<u32, GroupName>) {
        self.enforcement.loading(blocks);
    }

    /// They are loaded, and no others.
    pub fn loaded(&self, blocks: &BTreeMap<u32, GroupName>) {
        self.enforcement.loaded(blocks);
    }

    /// Says whether the firewall holds the rules of all groups, by whoever loads them. `change` is the newest of [`Self::watch`] that the rules
    /// were made after.
    pub fn note_enforced(&self, enforced: Enforced, change: u64) {
        self.enforcement.set(enforced, change);
    }

    /// The same by whoever has no firewall, as tests: whether all blocks are held as they are.
    pub fn set_enforced(&self, enforced: bool) {
        let change = *self.changes.borrow();
        if enforced {
            self.loaded(&self.blocks());
        }
        let enforced = if enforced { Enforced::Held } else { Enforced::Broken };
        self.note_enforced(enforced, change);
    }

    /// Whether it holds them, as far as it knows whose the blocks are.
    pub fn is_enforced(&self) -> bool {
        self.enforcement.is_held()
    }

    /// Whether it holds whoever has this place. While it does not, she is not let in anew: the rules of her group are not loaded, or the kernel
    /// may have her address as one of another group, whose block it was.
    pub fn holds(&self, place: &Place) -> bool {
        let block = self.layout.block_of(place.host);
        block.is_some_and(|block| self.enforcement.holds(block, &place.group))
    }

    /// Waits until somebody who knows whose the blocks are has said whether it holds them, this long at most: they have just changed, and the
    /// rules are being loaded.
    pub async fn enforcement_said(&self, within: Duration) {
        let change = *self.changes.borrow();
        self.enforcement.said(change, within).await;
    }

    /// Whether it holds them, now and as it changes. Also whom it [holds](Self::holds) may have changed.
    pub fn watch_enforced(&self) -> watch::Receiver<Enforced> {
        self.enforcement.watch()
    }

    /// Says of each listener whether an OpenVPN runs whose tunnel is divided so: nobody gets a fixed address from it whose it is not. One of an
    /// earlier configuration gives such addresses to everybody.
    pub fn set_divided(&self, divided: &[bool]) {
        *self.divided() = divided.to_vec();
    }

    /// Those that found no address, with their groups.
    pub fn waiting(&self) -> Vec<(CommonName, GroupName)> {
        let book = self.book();
        let waiting = book.waiting().iter();
        waiting.map(|(name, group)| (name.clone(), group.clone())).collect()
    }

    /// Why credentials find no address, and what to do; `None` when all have one.
    pub fn lack(&self) -> Option<String> {
        let waiting = self.waiting();
        let (_, group) = waiting.first()?;
        let names: Vec<&CommonName> = waiting.iter().map(|(name, _)| name).collect();
        Some(format!("{} ({} are refused)", self.full(group), some_of(&names)))
    }

    /// What to do when there is no address left for a group.
    pub fn full(&self, group: &GroupName) -> String {
        let (network, default) = (self.layout.network(), GroupName::DEFAULT);
        match self.listeners {
            0 | 1 => format!(
                "OPENVPN_NETWORK ({network}) has no address left for the group {group}: give this node a larger one (/16 at most), or have fewer \
                 users of groups other than {default} on it"
            ),
            listeners => format!(
                "OPENVPN_NETWORK, of which each of {listeners} listeners has a part ({network} is that of the first), has no address left for the \
                 group {group}: give this node a larger one (/16 at most) or fewer listeners, or have fewer users of groups other than {default} \
                 on it"
            ),
        }
    }

    /// Whether a session of this credential with these addresses inside the tunnel of the first listener is where it belongs. An address that it
    /// does not have, or that cannot be read, is not judged.
    pub fn fits(&self, name: &CommonName, address: &str, address6: &str) -> bool {
        self.fits_at(ListenerNumber::FIRST, name, address, address6)
    }

    /// The same in the tunnel of this listener.
    pub fn fits_at(&self, number: ListenerNumber, name: &CommonName, address: &str, address6: &str) -> bool {
        let slice = self.layout.beside(number);
        let address: Option<Ipv4Addr> = address.parse().ok();
        match self.seat_of(name) {
            Seat::Fixed(place) => {
                // That of another network is of an OpenVPN with an older configuration, and the firewall judges it by the same blocks.
                let is_ours = |address: &Ipv6Addr| slice.network6().is_some_and(|network| network.contains(*address));
                let address6: Option<Ipv6Addr> = address6.parse().ok().filter(is_ours);
                address.is_none_or(|address| address == slice.address(place.host))
                    && address6.is_none_or(|address| Some(address) == slice.address6(place.host))
            }
            Seat::Dynamic | Seat::Waiting => {
                let is_divided = self.divided().get(number.0) == Some(&true);
                !(is_divided && address.is_some_and(|address| slice.is_fixed(address)))
            }
        }
    }

    pub(super) fn change(&self, changes: BTreeMap<CommonName, Change>, last_given: BTreeMap<u32, u32>) {
        let is_news = self.book().change(changes, last_given);
        if is_news {
            self.changes.send_modify(|changes| *changes += 1);
        }
    }

    fn divided(&self) -> MutexGuard<'_, Vec<bool>> {
        self.divided.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic while it is open leaves at worst an address that nobody gets until the agent starts anew.
    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
