//! Every attack, in one table.

use futures_util::future::LocalBoxFuture;

use super::{
    flood::{Flood, Offered},
    scene::{Scene, Setting},
    size::Size,
    stranger::{crowd, enrolment, heavy, keys, port, standing, unfinished, waits},
    thief::{
        self, acks, commands, connections, events, everything, groups, heartbeats, history, intents, odd, profiles,
        reports, sessions, signs, syncs,
    },
};

/// What is done.
#[derive(Clone, Copy)]
pub(super) enum Deed {
    /// Messages on the bus with the stolen credential. The same flood is sent where nobody hears it, for comparison.
    Flood(fn(&Scene, Size) -> Flood),
    /// Anything else.
    Act(for<'a> fn(&'a Scene, Size) -> LocalBoxFuture<'a, anyhow::Result<Offered>>),
}

/// What must hold beside "no state changed wrongly, nothing ended, nothing accepted was lost".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// Others' creates stay at twice their p99 at most.
    Twice,
    /// nats-server grows by so many MiB at most.
    BusGrows(u32),
    /// Nothing.
    None,
}

impl Bound {
    /// By how many MiB nats-server may grow.
    pub(super) fn most_bus_growth(self) -> Option<u32> {
        match self {
            Self::BusGrows(most) => Some(most),
            Self::Twice | Self::None => None,
        }
    }
}

/// One attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// What is done, for people.
    pub(super) what: &'static str,
    pub(super) bound: Bound,
    pub(super) setting: Setting,
    pub(super) deed: Deed,
}

const USUAL: Setting = Setting {
    descriptors: None,
    spare: false,
    hasty: false,
    keyless: false,
    generous: false,
};
const HASTY: Setting = Setting { hasty: true, ..USUAL };
const KEYLESS: Setting = Setting { keyless: true, ..USUAL };
const GENEROUS: Setting = Setting {
    generous: true,
    ..USUAL
};
const CROWDED: Setting = Setting {
    descriptors: Some(1_024),
    spare: true,
    ..USUAL
};

/// All attacks, in the order of a run.
#[rustfmt::skip]
pub(super) const ATTACKS: &[Attack] = &[
    attack("heartbeats-burst", Bound::Twice, HASTY, Deed::Flood(heartbeats::burst), "20,000 heartbeats at once, each from another run of the agent"),
    attack("heartbeats-steady", Bound::Twice, HASTY, Deed::Flood(heartbeats::steady), "1,000 such heartbeats a second, for longer than it takes to call a node lost and to move its users"),
    attack("heartbeats-changing", Bound::Twice, USUAL, Deed::Flood(heartbeats::changing), "500 heartbeats a second that each change the state of the node"),
    attack("heartbeats-large", Bound::Twice, USUAL, Deed::Flood(heartbeats::large), "5,000 heartbeats of 60 kB"),
    attack("odd-times", Bound::None, GENEROUS, Deed::Act(odd::times), "times at the ends of what a program can hold, in every message that has one; each is read"),
    attack("odd-numbers", Bound::None, GENEROUS, Deed::Act(odd::numbers), "numbers at their ends, and texts that PostgreSQL cannot hold; each is read"),
    attack("odd-garbage", Bound::None, GENEROUS, Deed::Act(odd::garbage), "what is no message, deep and long JSON, messages in the name of another node; each is read"),
    attack("groups-claimed", Bound::None, GENEROUS, Deed::Act(groups::claimed), "that users are in another group, in every message about them, and that there are other groups; each is read"),
    attack("forbidden-subjects", Bound::Twice, USUAL, Deed::Flood(odd::forbidden), "20,000 messages on subjects of others"),
    attack("syncs-large", Bound::Twice, USUAL, Deed::Flood(syncs::large), "15,000 handshakes of nearly 64 KiB"),
    attack("syncs-burst", Bound::Twice, USUAL, Deed::Flood(syncs::burst), "5,000 handshakes at once"),
    attack("syncs-resync", Bound::Twice, USUAL, Deed::Flood(syncs::resync), "2,000 handshakes of a node that says that it holds nothing"),
    attack("endpoint-flips", Bound::Twice, USUAL, Deed::Flood(syncs::endpoint_flips), "300 handshakes, 10 a second, each with another port than the one before"),
    attack("acks-own", Bound::Twice, USUAL, Deed::Flood(acks::own), "200,000 acks of own users"),
    attack("acks-unknown", Bound::Twice, USUAL, Deed::Flood(acks::unknown), "200,000 acks of users that do not exist"),
    attack("acks-superseded", Bound::Twice, USUAL, Deed::Flood(acks::superseded), "2,000 acks that own users hold revisions of the far future"),
    attack("acks-superseded-others", Bound::Twice, USUAL, Deed::Flood(acks::superseded_others), "the same of users of the honest node, and that they hold a revision just above the wanted one"),
    attack("acks-others", Bound::Twice, USUAL, Deed::Flood(acks::others), "acks of users of the honest node, with revisions that nobody wants"),
    attack("acks-notes", Bound::None, USUAL, Deed::Act(acks::notes), "60 acks with notes and errors of 48 kB and of 7 kB"),
    attack("intents-creates", Bound::Twice, USUAL, Deed::Flood(intents::creates), "2,000 local creates at once"),
    attack("intents-refused", Bound::Twice, USUAL, Deed::Flood(intents::refused), "20,000 local deletes of users that nobody knows"),
    attack("intents-repeated", Bound::Twice, USUAL, Deed::Flood(intents::repeated), "10,000 times the same request, and another one under its id"),
    attack("intents-removes-others", Bound::None, USUAL, Deed::Flood(intents::removes_others), "deletes of users who are not on the stolen node"),
    attack("signs-full", Bound::Twice, USUAL, Deed::Flood(signs::full), "500 signing requests of 64 certificate requests"),
    attack("signs-overfull", Bound::Twice, USUAL, Deed::Flood(signs::overfull), "500 signing requests of 4,000 certificate requests"),
    attack("events-large", Bound::Twice, USUAL, Deed::Flood(events::large), "7,600 events of 48 kB, of every kind"),
    attack("events-many", Bound::Twice, USUAL, Deed::Flood(events::many), "50,000 small events of every kind"),
    attack("events-unknown", Bound::Twice, USUAL, Deed::Flood(events::unknown), "20,000 events of kinds and on subjects that nobody knows"),
    attack("events-others", Bound::None, USUAL, Deed::Flood(events::others), "events about users who are on the honest node only"),
    attack("reports-headers", Bound::BusGrows(100), USUAL, Deed::Act(reports::headers), "10,000 acks, 1,000 a second, each with another id of 40 to 60 kB in its headers"),
    attack("commands-pulls", Bound::Twice, USUAL, Deed::Flood(commands::pulls), "50,000 pulls on the own consumer"),
    attack("commands-heartbeats", Bound::BusGrows(100), USUAL, Deed::Flood(commands::heartbeats), "2,000 pulls on the own consumer, 100 a second, that ask for heartbeats without a pause between them"),
    attack("commands-infos", Bound::Twice, USUAL, Deed::Flood(commands::infos), "50,000 questions about the own consumer"),
    attack("commands-settles", Bound::Twice, USUAL, Deed::Flood(commands::settles), "100,000 settlements of commands, delivered or not"),
    attack("replies-diverted", Bound::None, USUAL, Deed::Act(commands::diverted), "requests whose answers go to what is the honest node's"),
    attack("replies-unanswered", Bound::BusGrows(100), USUAL, Deed::Act(commands::unanswered), "200,000 requests that nothing answers, 10,000 a second, each with a reply subject of 2 kB"),
    attack("profiles-forged", Bound::None, USUAL, Deed::Act(profiles::forged), "answers in place of the agent with profiles, and with parts of profiles, that would run a program"),
    attack("sessions-endless", Bound::None, USUAL, Deed::Act(sessions::endless), "answers in place of the agent that tell of sessions without end, while an operator lists one"),
    attack("sessions-reported", Bound::Twice, USUAL, Deed::Act(history::many), "4,000 reports of 50 sessions of own users: 10,000 sessions, each told of again and again from two addresses in turn"),
    attack("sessions-others", Bound::None, USUAL, Deed::Act(history::others), "reports of sessions of users who are on the honest node only, and of nobody"),
    attack("connections-many", Bound::Twice, USUAL, Deed::Act(connections::many), "500 connections with one credential at once"),
    attack("connections-churn", Bound::Twice, USUAL, Deed::Act(connections::churn), "5,000 connections, opened and closed"),
    attack("connections-names", Bound::Twice, USUAL, Deed::Act(connections::names), "4,000 connections, opened and closed, each with a name as long as can be; management must still read the list of connections"),
    attack("connections-subscriptions", Bound::Twice, USUAL, Deed::Act(connections::subscriptions), "1,000 subscriptions on each of 20 connections"),
    attack("connections-resubscribing", Bound::Twice, USUAL, Deed::Act(connections::resubscribing), "200,000 subscriptions made and ended on one connection"),
    attack("standings-own", Bound::Twice, USUAL, Deed::Act(thief::standing::own), "5,000 questions about the own standing, over HTTP"),
    attack("everything", Bound::Twice, USUAL, Deed::Act(everything::at_once), "heartbeats, handshakes, acks, local deletes, signing requests and events at the same time"),
    attack("http-half-heads", Bound::None, USUAL, Deed::Act(unfinished::half_heads), "200 requests whose head never ends"),
    attack("http-half-bodies", Bound::None, USUAL, Deed::Act(unfinished::half_bodies), "200 requests whose body never ends"),
    attack("http-dripping-heads", Bound::None, USUAL, Deed::Act(unfinished::dripping_heads), "200 heads of which a byte comes each two seconds"),
    attack("http-dripping-bodies", Bound::None, USUAL, Deed::Act(unfinished::dripping_bodies), "200 bodies of which a byte comes each two seconds"),
    attack("http-idle", Bound::None, USUAL, Deed::Act(unfinished::idle), "200 connections that stay open after one answer"),
    attack("http-silent", Bound::None, CROWDED, Deed::Act(crowd::silent), "1,100 silent connections from one address, of which management keeps 256, while a node is deregistered; management has 1,024 descriptors"),
    attack("http-silent-many", Bound::None, CROWDED, Deed::Act(crowd::silent_from_many), "the same from 64 addresses: management keeps as many as it has descriptors for"),
    attack("http-bodies", Bound::Twice, USUAL, Deed::Act(heavy::bodies), "500 bodies of 1 MB without a key"),
    attack("http-slow-readers", Bound::Twice, USUAL, Deed::Act(heavy::slow_readers), "500 readers of the largest page that needs no key, who read nothing of it"),
    attack("http-large-heads", Bound::None, USUAL, Deed::Act(heavy::large_heads), "500 heads of 500 kB"),
    attack("http-wrong-keys", Bound::Twice, USUAL, Deed::Act(keys::wrong_keys), "10,000 wrong keys, each another one"),
    attack("http-wrong-key", Bound::Twice, USUAL, Deed::Act(keys::wrong_key), "10,000 times the same wrong key"),
    attack("http-wrong-keys-beside", Bound::None, USUAL, Deed::Act(keys::wrong_keys_beside), "10,000 wrong keys from the address of the operator"),
    attack("http-standings", Bound::Twice, USUAL, Deed::Act(standing::foreign), "5,000 questions about the standing of a node, signed with a key of his own"),
    attack("http-waits", Bound::Twice, USUAL, Deed::Act(waits::callers), "1,000 callers with one key from 64 addresses who ask to wait for a node that stands still: 200 may, the others are answered at once"),
    attack("http-creates", Bound::None, USUAL, Deed::Act(waits::creates), "1,000 creates at once with one key from 64 addresses"),
    attack("enrol-bad-tokens", Bound::Twice, KEYLESS, Deed::Act(enrolment::bad_tokens), "2,000 enrolments, rightly signed, with tokens that were never made"),
    attack("enrol-replays", Bound::None, KEYLESS, Deed::Act(enrolment::replays), "used tokens with another key, certificate request, host or name; an unbound token and a key of the role `node` for a node that is there"),
    attack("bus-silent", Bound::Twice, USUAL, Deed::Act(port::silent), "1,000 connections to the bus that say nothing"),
    attack("bus-unfinished", Bound::Twice, USUAL, Deed::Act(port::unfinished), "1,000 that begin to say who they are and never end"),
    attack("bus-forged", Bound::Twice, USUAL, Deed::Act(port::forged), "2,000 with a token that nobody signed"),
];

const fn attack(name: &'static str, bound: Bound, setting: Setting, deed: Deed, what: &'static str) -> Attack {
    Attack {
        name,
        what,
        bound,
        setting,
        deed,
    }
}

#[cfg(test)]
mod tests {
    use super::ATTACKS;

    const PAGE: &str = include_str!("../../../../docs/attacks.md");
    const TESTS: &str = include_str!("../../tests/it/attack.rs");

    #[test]
    fn every_attack_is_in_the_manual_once() {
        let lists = PAGE.split("\n## ").find(|part| part.starts_with("The attacks\n"));
        let lists = lists.expect("the manual has a section with the attacks");
        for attack in ATTACKS {
            let row = format!("| `{}` |", attack.name);
            assert_eq!(lists.matches(&row).count(), 1, "{}", attack.name);
        }
        let rows = lists.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, ATTACKS.len(), "the manual lists an attack that is not there");
    }

    #[test]
    fn every_attack_is_in_one_test() {
        let lists = TESTS.split("hold(\"").skip(1).filter_map(|rest| rest.split_once('"'));
        let lists: Vec<Vec<&str>> = lists.map(|(list, _)| list.split(',').collect()).collect();
        for attack in ATTACKS {
            let plays = |list: &&Vec<&str>| list.iter().any(|part| attack.name.contains(part));
            assert_eq!(lists.iter().filter(plays).count(), 1, "{}", attack.name);
        }
    }
}
