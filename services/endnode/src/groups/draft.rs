//! Fixed addresses that are about to be given, and given back: in effect once the journal holds them.

use std::collections::BTreeMap;

use vpnmanager_nats::{groups::GroupName, ids::CommonName};

use super::{
    book::{Block, Book, Change, Held},
    place::Place,
    places::Places,
};

/// Changes of places that are being journaled. One at a time: whoever changes access has it. What is dropped without [`Self::commit`] never
/// was.
#[derive(Debug)]
#[must_use]
pub struct Draft {
    places: Places,
    changes: BTreeMap<CommonName, Change>,
    /// Blocks out of which an address is taken, with those that are left.
    open: BTreeMap<u32, Block>,
    /// The address that was taken last of each.
    last_given: BTreeMap<u32, u32>,
}

/// What became of a credential that needs a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placing {
    /// It has one, and the journal knows that.
    Kept,
    /// This one, which has to be journaled.
    Given(Place),
    /// There is no address left for its group.
    Full,
}

impl Draft {
    /// Of these places.
    pub fn of(places: &Places) -> Self {
        Self {
            places: places.clone(),
            changes: BTreeMap::new(),
            open: BTreeMap::new(),
            last_given: BTreeMap::new(),
        }
    }

    /// The place of a credential after what was changed so far.
    pub fn place_of(&self, name: &CommonName) -> Option<Place> {
        self.held(&self.places.book(), name).map(|held| held.place)
    }

    /// Gives a credential of a member of this group its address, unless it has one.
    pub fn place(&mut self, name: &CommonName, group: &GroupName) -> Placing {
        let places = self.places.clone();
        let book = places.book();
        let held = self.held(&book, name).filter(|held| held.place.group == *group);
        let place = match held {
            Some(held) if held.is_journaled => return Placing::Kept,
            Some(held) => Some(held.place),
            None => self.take(&book, group),
        };
        match place {
            Some(place) => {
                self.changes.insert(name.clone(), Change::Placed(place.clone()));
                Placing::Given(place)
            }
            None => {
                self.changes.insert(name.clone(), Change::Waiting(group.clone()));
                Placing::Full
            }
        }
    }

    /// The credential needs no fixed address. Gives the one that it had. Nobody else gets it in this draft.
    pub fn free(&mut self, name: &CommonName) -> Option<Place> {
        let places = self.places.clone();
        let book = places.book();
        let had = self.held(&book, name);
        if had.is_some() || book.waiting().contains_key(name) || self.changes.contains_key(name) {
            self.changes.insert(name.clone(), Change::Gone);
        }
        had.map(|held| held.place)
    }

    /// What to do when there is no address left for a group.
    pub fn full(&self, group: &GroupName) -> String {
        self.places.full(group)
    }

    /// The journal holds it: from now on it is so.
    pub fn commit(self) {
        if !self.changes.is_empty() {
            self.places.change(self.changes, self.last_given);
        }
    }

    fn held(&self, book: &Book, name: &CommonName) -> Option<Held> {
        match self.changes.get(name) {
            Some(Change::Placed(place)) => Some(Held {
                place: place.clone(),
                is_journaled: true,
            }),
            Some(Change::Waiting(_) | Change::Gone) => None,
            None => book.held(name).cloned(),
        }
    }

    /// An address that nobody has: in a block of the group, or in one that belongs to nobody.
    fn take(&mut self, book: &Book, group: &GroupName) -> Option<Place> {
        let number = self.block_with_room(book, group)?;
        let last = self.last_given.get(&number).copied();
        let last = last.or_else(|| book.last_given(number));
        let host = self.open.get_mut(&number)?.take_behind(last)?;
        self.last_given.insert(number, host);
        Some(Place {
            group: group.clone(),
            host,
        })
    }

    /// The block is among those that are open then.
    fn block_with_room(&mut self, book: &Book, group: &GroupName) -> Option<u32> {
        if let Some((number, _)) = self.open.iter().find(|(_, block)| block.has_room_for(group)) {
            return Some(*number);
        }
        let is_closed = |number: &u32| !self.open.contains_key(number);
        let mut others = book.blocks().iter();
        let other = others.find(|(number, block)| is_closed(number) && block.has_room_for(group));
        if let Some((number, block)) = other {
            self.open.insert(*number, block.clone());
            return Some(*number);
        }
        let mut numbers = 0..book.layout.blocks();
        let number = numbers.find(|number| is_closed(number) && !book.blocks().contains_key(number))?;
        self.open
            .insert(number, Block::empty(book.layout, number, group.clone()));
        Some(number)
    }
}
