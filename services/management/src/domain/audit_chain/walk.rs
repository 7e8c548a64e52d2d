//! Follows one chain from entry to entry.

use std::collections::HashSet;

use super::{
    digest::{Brief, NONE, brief},
    findings::{Finding, Kind},
    row::Link,
};

/// Where what is to be verified begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// With the first entry of each chain, which may be in an archive that the trail tells of.
    First,
    /// Anywhere: it is a part of a trail.
    Anywhere,
}

/// Entries without a gap that are elsewhere.
#[derive(Debug, Clone)]
pub(super) struct Bridge {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) previous: Brief,
    pub(super) hash: Brief,
}

/// What somebody said of a place in the chain.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) seq: i64,
    pub(super) hash: Brief,
    /// Which checkpoint; `None`: the table of the chains, which nobody signed.
    pub(super) checkpoint: Option<i64>,
}

/// A chain, as it was found.
pub(super) struct Chain {
    pub(super) number: i16,
    pub(super) links: Vec<Link>,
    pub(super) bridges: Vec<Bridge>,
    pub(super) marks: Vec<Mark>,
    /// The last place that the table of the chains has, 0 for a chain that it does not have; `None` where that table was not read.
    pub(super) last: Option<i64>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) findings: Vec<Finding>,
    /// Entries that are in archives.
    pub(super) archived: i64,
    /// Entries after the last one that a checkpoint names.
    pub(super) unproven: usize,
}

/// Follows the chain.
pub(super) fn walk(mut chain: Chain, begins: Begins) -> Walked {
    let mut walked = Walked::default();
    chain.links.sort_by_key(|link| (link.seq, link.id));
    // An entry may be in an archive and in the database, too.
    chain.links.dedup();
    let links = without_doubles(chain.links, &mut walked.findings);
    let start = match (begins, links.first()) {
        (Begins::First, _) => (1, brief(&NONE)),
        (Begins::Anywhere, Some(first)) => (first.seq, first.previous),
        (Begins::Anywhere, None) => return walked,
    };
    let end = follow(chain.number, &links, &chain.bridges, start, &mut walked);
    compare(chain.number, &links, &chain.marks, end, &mut walked);
    // What else is wrong may have moved them.
    if walked.findings.is_empty() {
        walked
            .findings
            .extend(chain.last.and_then(|last| beyond(chain.number, &links, last)));
    }
    let signed = chain.marks.iter().filter(|mark| mark.checkpoint.is_some());
    let signed = signed.map(|mark| mark.seq).max().unwrap_or_default();
    walked.unproven = links.iter().rev().take_while(|link| link.seq > signed).count();
    walked
}

/// Of several entries at one place, the one that the others follow.
fn without_doubles(links: Vec<Link>, findings: &mut Vec<Finding>) -> Vec<Link> {
    if links.is_sorted_by(|one, next| one.seq < next.seq) {
        return links;
    }
    let places: Vec<&[Link]> = links.chunk_by(|one, next| one.seq == next.seq).collect();
    let mut kept: Vec<Link> = Vec::with_capacity(places.len());
    for (index, place) in places.iter().enumerate() {
        let next = places.get(index + 1).copied().unwrap_or_default();
        let is_followed = |link: &Link| next.iter().any(|next| next.previous == link.hash);
        let follows = |link: &Link| kept.last().is_none_or(|before| before.hash == link.previous);
        let right = place.iter().position(|link| link.is_whole && is_followed(link));
        let right = right.or_else(|| place.iter().position(|link| link.is_whole && follows(link)));
        let right = right.unwrap_or_default();
        for (index, link) in place.iter().enumerate() {
            if index != right {
                let detail = format!("entry {} is at a place of its chain that another entry has", link.id);
                findings.push(Finding::new(Kind::Inserted, Some(link.id), detail));
            }
        }
        kept.extend(place.get(right).cloned());
    }
    kept
}

/// The first entry after the last one that the triggers wrote: whoever puts entries at the end of a chain by hand leaves no gap, and no checkpoint is
/// about them.
fn beyond(number: i16, links: &[Link], last: i64) -> Option<Finding> {
    let index = links.partition_point(|link| link.seq <= last);
    let first = links.get(index)?;
    let more = links.len() - index - 1;
    let more = if more > 0 {
        format!(", and {more} after it")
    } else {
        String::new()
    };
    let detail = format!(
        "entry {}{more} was put in: the table audit_chains says that chain {number} ends at place {last}",
        first.id
    );
    Some(Finding::new(Kind::Inserted, Some(first.id), detail))
}

/// From the place and hash where the chain begins. Gives the place after its end.
fn follow(number: i16, links: &[Link], bridges: &[Bridge], start: (i64, Brief), walked: &mut Walked) -> i64 {
    let (mut place, mut hash) = start;
    let mut order: Option<Order> = None;
    for (index, link) in links.iter().enumerate() {
        if !link.is_whole {
            let detail = format!("entry {} is not what was recorded", link.id);
            walked.findings.push(Finding::new(Kind::Changed, Some(link.id), detail));
        }
        if link.seq > place {
            (place, hash) = cross(bridges, (place, hash), link.seq, &mut walked.archived);
        }
        if link.seq > place {
            let gone = link.seq.saturating_sub(place);
            let detail = format!(
                "{gone} entries before entry {} are gone: {place} to {} of chain {number}",
                link.id,
                link.seq - 1
            );
            walked.findings.push(Finding::new(Kind::Removed, Some(link.id), detail));
        } else if link.is_whole && link.previous != hash {
            let order = order.get_or_insert_with(|| Order::of(links));
            walked.findings.extend(order.judge(links, index));
        }
        (place, hash) = (link.seq.saturating_add(1), link.hash);
    }
    cross(bridges, (place, hash), i64::MAX, &mut walked.archived).0
}

/// Goes on through what is archived, from that place on and not beyond `until`.
fn cross(bridges: &[Bridge], from: (i64, Brief), until: i64, archived: &mut i64) -> (i64, Brief) {
    let (mut place, mut hash) = from;
    while let Some(bridge) = bridges
        .iter()
        .find(|bridge| bridge.first == place && bridge.previous == hash && bridge.last >= place && bridge.last < until)
    {
        let after = bridge.last.saturating_add(1);
        *archived = archived.saturating_add(after.saturating_sub(place));
        (place, hash) = (after, bridge.hash);
    }
    (place, hash)
}

/// Which entries there are, and which have a successor.
struct Order {
    known: HashSet<Brief>,
    followed: HashSet<Brief>,
}

impl Order {
    fn of(links: &[Link]) -> Self {
        Self {
            known: links.iter().map(|link| link.hash).collect(),
            followed: links.iter().map(|link| link.previous).collect(),
        }
    }

    /// Why an entry does not follow the one at the place before it. Nothing where that is told of a neighbour.
    fn judge(&self, links: &[Link], index: usize) -> Option<Finding> {
        let link = links.get(index)?;
        let at = |index: Option<usize>| index.and_then(|index| links.get(index));
        let before = at(index.checked_sub(1)).filter(|before| before.seq.saturating_add(1) == link.seq);
        let next = at(index.checked_add(1));
        let is_known = self.known.contains(&link.previous);
        let Some(before) = before else {
            let kind = if is_known { Kind::Reordered } else { Kind::Replaced };
            return Some(told(kind, link.id));
        };
        let of_before = at(index.checked_sub(2)).map(|one| one.hash);
        if !before.is_whole {
            return None;
        }
        if !self.followed.contains(&before.hash) {
            let skips = link.previous == before.previous || Some(link.previous) == of_before;
            return Some(match (skips, is_known) {
                (true, _) => told(Kind::Inserted, before.id),
                (false, true) => told(Kind::Reordered, link.id),
                (false, false) => told(Kind::Replaced, before.id),
            });
        }
        let is_followed = self.followed.contains(&link.hash);
        if is_known {
            // The one before it was moved, and this one has its right successor.
            let stays = next.is_some_and(|next| next.previous == link.hash) && of_before != Some(before.previous);
            return (!stays).then(|| told(Kind::Reordered, link.id));
        }
        match (is_followed, next) {
            // Its successor says so.
            (false, Some(_)) => None,
            (false, None) => Some(told(Kind::Inserted, link.id)),
            (true, _) => Some(told(Kind::Replaced, link.id)),
        }
    }
}

fn told(kind: Kind, id: i64) -> Finding {
    let detail = match kind {
        Kind::Inserted => format!("entry {id} was put in: the entries around it follow each other"),
        Kind::Reordered => format!("entry {id} is at another place than it was"),
        Kind::Replaced | Kind::Changed | Kind::Removed | Kind::Rewritten | Kind::Checkpoint | Kind::Unreadable => {
            format!("entry {id} was replaced, or entries beside it were removed")
        }
    };
    Finding::new(kind, Some(id), detail)
}

/// Compares the chain, which ends before the place `end`, with what was said of it.
fn compare(number: i16, links: &[Link], marks: &[Mark], end: i64, walked: &mut Walked) {
    let who = |mark: &Mark| match mark.checkpoint {
        Some(checkpoint) => format!("checkpoint {checkpoint}"),
        None => "the table audit_chains".to_owned(),
    };
    let mut is_told = false;
    let mut highest: Option<&Mark> = None;
    for mark in marks {
        if mark.seq >= end {
            highest = highest.filter(|highest| highest.seq >= mark.seq).or(Some(mark));
            continue;
        }
        let Ok(index) = links.binary_search_by_key(&mark.seq, |link| link.seq) else {
            continue;
        };
        let link = links.get(index).filter(|link| link.hash != mark.hash);
        if let Some(link) = link.filter(|_| !is_told) {
            is_told = true;
            let detail = format!(
                "entry {}, or an entry before it in chain {number}, is another one than {} names at place {}",
                link.id,
                who(mark),
                mark.seq
            );
            walked
                .findings
                .push(Finding::new(Kind::Rewritten, Some(link.id), detail));
        }
    }
    if let Some(mark) = highest {
        let last = links.last().map(|link| link.id);
        let after = last.map_or_else(String::new, |id| format!(" after entry {id}"));
        let detail = format!(
            "the last entries of chain {number}{after} are gone: places {end} to {}, which {} names",
            mark.seq,
            who(mark)
        );
        walked.findings.push(Finding::new(Kind::Removed, last, detail));
    }
}
