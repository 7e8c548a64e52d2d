//! The faults, and how they are chosen.

use std::{fmt, time::Duration};

use fastrand::Rng;
use vpnmanager_testbed::stack::{NodeMode, Part};

use super::{limits::OUTAGE, reach::Scope};

/// One fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// kill -9, and a start after a while. An OpenVPN is started again by its agent.
    Kill(Part),
    /// SIGSTOP, and SIGCONT after a while.
    Pause(Part),
    /// The bus stops, loses its whole store, and starts again.
    WipeBus,
    /// The agent stops, its journal is deleted, and it starts again.
    DeleteJournal(u8),
    /// The agent stops, a file of its journal is truncated, and it starts again.
    TruncateJournal(u8),
    /// Somebody adds a file to the allow-list.
    AddAllowed(u8),
    /// Somebody removes a file from the allow-list.
    RemoveAllowed(u8),
    /// The node's cable is pulled.
    CutLink(u8),
    /// A fifth of the packets that reach or leave the node is lost.
    LosePackets(u8),
    /// Everything between the node and the bus takes 200 ms longer, each way.
    Delay(u8),
    /// The disk of the node's state folder is full.
    FillDisk(u8),
    /// The disk of the bus is full. It is restarted when there is room again, because it stores nothing until then.
    FillBusDisk,
    /// PostgreSQL takes no changes, as a standby does.
    ReadOnly,
    /// The bus is away for longer than management waits before it gives the users of a lost node another home.
    BusOutage,
    /// Nodes find the bus at another address from now on; managements are started again with it.
    MoveBus,
    /// The agent stops, and starts again with another port for clients; and later with the usual one.
    ChangePort(u8),
    /// The agent stops, and starts again with a clock that is an hour ahead or behind.
    ShiftClock(u8),
}

/// What a fault affects. Each target has at most one fault at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Part(Part),
    Link(u8),
    AllowList(u8),
    Way(u8),
    Disk(u8),
}

/// How much a fault takes from those who end access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// Access must end in time as always.
    None,
    /// A part is restarted when the fault begins.
    AtFirst(Scope),
    /// A part is restarted when the fault is healed.
    AtLast(Scope),
    /// The same at both ends, and not in between.
    AtBothEnds(Scope),
    /// From its beginning until it is healed.
    Throughout(Scope),
}

/// What the stack has that can fail.
#[derive(Debug, Clone)]
pub(super) struct Breakable {
    /// How the OpenVPN of each node runs, in the order of their numbers.
    pub(super) modes: Vec<NodeMode>,
    pub(super) managements: u8,
    /// Whether there are namespaces to cut off, disks to fill, OpenVPN, and the proxy that delays.
    pub(super) tunnels: bool,
    /// Whether clocks can be shifted.
    pub(super) clocks: bool,
}

impl Breakable {
    /// Whether the agent runs the OpenVPN of this node.
    fn is_managed(&self, node: u8) -> bool {
        self.tunnels && self.modes.get(usize::from(node) - 1) == Some(&NodeMode::Managed)
    }

    /// The number of nodes.
    pub(super) fn nodes(&self) -> u8 {
        u8::try_from(self.modes.len()).unwrap_or(u8::MAX)
    }
}

impl Fault {
    /// Chooses one fault, or now and then a fault of the whole control plane. [`Fault::BusOutage`] is not drawn: it is planned.
    pub(super) fn draw(rng: &mut Rng, of: &Breakable) -> Vec<Self> {
        let node = rng.u8(1..=of.nodes());
        let one = match rng.u8(0..100) {
            0..22 => Self::Kill(draw_part(rng, of)),
            22..37 => Self::Pause(draw_part(rng, of)),
            37..40 => return Self::control_plane(of),
            40..46 => Self::WipeBus,
            46..51 => Self::DeleteJournal(node),
            51..56 => Self::TruncateJournal(node),
            56..61 => Self::AddAllowed(node),
            61..66 => Self::RemoveAllowed(node),
            66..70 => Self::ReadOnly,
            70..72 if of.tunnels => Self::MoveBus,
            72..78 if of.tunnels => Self::CutLink(node),
            78..81 if of.tunnels => Self::LosePackets(node),
            81..83 if of.is_managed(node) => Self::ChangePort(node),
            83..86 if of.tunnels => Self::Delay(node),
            86..90 if of.tunnels => Self::FillDisk(node),
            90..96 if of.tunnels => Self::FillBusDisk,
            96.. if of.clocks => Self::ShiftClock(node),
            70.. => Self::Kill(Part::Node(node)),
        };
        vec![one]
    }

    fn control_plane(of: &Breakable) -> Vec<Self> {
        let replicas = (2..=of.managements).map(Part::Replica);
        let parts = [Part::Postgres, Part::Nats, Part::Management]
            .into_iter()
            .chain(replicas);
        parts.map(Self::Kill).collect()
    }

    /// How long until it is healed.
    pub(super) fn lasts(self, rng: &mut Rng) -> Duration {
        let millis = match self {
            Self::Kill(_) | Self::WipeBus | Self::DeleteJournal(_) | Self::TruncateJournal(_) => rng.u64(0..4000),
            Self::Pause(_) | Self::CutLink(_) => rng.u64(500..8000),
            Self::LosePackets(_)
            | Self::Delay(_)
            | Self::FillDisk(_)
            | Self::FillBusDisk
            | Self::ReadOnly
            | Self::ShiftClock(_) => rng.u64(2000..10_000),
            Self::BusOutage => return OUTAGE,
            Self::MoveBus => rng.u64(10_000..15_000),
            Self::ChangePort(_) => rng.u64(4000..10_000),
            Self::AddAllowed(_) | Self::RemoveAllowed(_) => 0,
        };
        Duration::from_millis(millis)
    }

    pub(super) fn target(self) -> Target {
        match self {
            Self::Kill(part) | Self::Pause(part) => Target::Part(part),
            Self::WipeBus | Self::FillBusDisk | Self::BusOutage | Self::MoveBus => Target::Part(Part::Nats),
            Self::ReadOnly => Target::Part(Part::Postgres),
            Self::DeleteJournal(node)
            | Self::TruncateJournal(node)
            | Self::ShiftClock(node)
            | Self::ChangePort(node) => Target::Part(Part::Node(node)),
            Self::AddAllowed(node) | Self::RemoveAllowed(node) => Target::AllowList(node),
            Self::CutLink(node) | Self::LosePackets(node) => Target::Link(node),
            Self::Delay(node) => Target::Way(node),
            Self::FillDisk(node) => Target::Disk(node),
        }
    }

    /// What it takes from those who end access.
    pub(super) fn harm(self) -> Harm {
        match self {
            // What a management has taken up is lost with it, and another one takes it up again only after a while.
            Self::Kill(Part::Management | Part::Replica(_)) => Harm::AtFirst(Scope::All),
            // It may hold locks in the database meanwhile.
            Self::Pause(Part::Management | Part::Replica(_))
            | Self::Kill(Part::Nats | Part::Postgres)
            | Self::Pause(Part::Nats | Part::Postgres)
            | Self::WipeBus
            | Self::ReadOnly
            | Self::BusOutage
            | Self::MoveBus => Harm::Throughout(Scope::All),
            Self::Kill(Part::Node(node))
            | Self::Pause(Part::Node(node))
            | Self::DeleteJournal(node)
            | Self::TruncateJournal(node)
            | Self::CutLink(node)
            | Self::LosePackets(node) => Harm::Throughout(Scope::Node(node)),
            Self::ShiftClock(node) | Self::ChangePort(node) => Harm::AtBothEnds(Scope::Node(node)),
            // What ends access does not need the store, but it needs the server, which is restarted.
            Self::FillBusDisk => Harm::AtLast(Scope::All),
            Self::Kill(Part::Openvpn(_))
            | Self::Pause(Part::Openvpn(_))
            | Self::AddAllowed(_)
            | Self::RemoveAllowed(_)
            | Self::FillDisk(_)
            | Self::Delay(_) => Harm::None,
        }
    }

    /// Its name in reports.
    pub(super) fn kind(self) -> String {
        let of = |part: Part| match part {
            Part::Management | Part::Replica(_) => "management",
            Part::Nats => "nats",
            Part::Postgres => "postgres",
            Part::Node(_) => "agent",
            Part::Openvpn(_) => "openvpn",
        };
        match self {
            Self::Kill(part) => format!("kill {}", of(part)),
            Self::Pause(part) => format!("pause {}", of(part)),
            Self::WipeBus => "wipe bus".to_owned(),
            Self::DeleteJournal(_) => "delete journal".to_owned(),
            Self::TruncateJournal(_) => "truncate journal".to_owned(),
            Self::AddAllowed(_) => "add to allow-list".to_owned(),
            Self::RemoveAllowed(_) => "remove from allow-list".to_owned(),
            Self::CutLink(_) => "cut link".to_owned(),
            Self::LosePackets(_) => "lose packets".to_owned(),
            Self::Delay(_) => "delay".to_owned(),
            Self::FillDisk(_) => "fill disk".to_owned(),
            Self::FillBusDisk => "fill disk of the bus".to_owned(),
            Self::ReadOnly => "read-only postgres".to_owned(),
            Self::BusOutage => "long outage of the bus".to_owned(),
            Self::MoveBus => "move bus".to_owned(),
            Self::ChangePort(_) => "change port".to_owned(),
            Self::ShiftClock(_) => "shift clock".to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(part) => write!(f, "kill {part}"),
            Self::Pause(part) => write!(f, "pause {part}"),
            Self::WipeBus | Self::FillBusDisk | Self::ReadOnly | Self::BusOutage | Self::MoveBus => {
                f.write_str(&self.kind())
            }
            Self::DeleteJournal(node)
            | Self::TruncateJournal(node)
            | Self::AddAllowed(node)
            | Self::RemoveAllowed(node)
            | Self::CutLink(node)
            | Self::LosePackets(node)
            | Self::Delay(node)
            | Self::FillDisk(node)
            | Self::ChangePort(node)
            | Self::ShiftClock(node) => write!(f, "{} of node-{node}", self.kind()),
        }
    }
}

fn draw_part(rng: &mut Rng, of: &Breakable) -> Part {
    let node = rng.u8(1..=of.nodes());
    let has_openvpn = of.modes[usize::from(node) - 1] != NodeMode::None;
    match rng.u8(0..10) {
        0..3 => match rng.u8(1..=of.managements) {
            1 => Part::Management,
            number => Part::Replica(number),
        },
        3..5 => Part::Nats,
        5..7 => Part::Postgres,
        7 if of.tunnels && has_openvpn => Part::Openvpn(node),
        7.. => Part::Node(node),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn drawn(tunnels: bool) -> BTreeSet<String> {
        let of = Breakable {
            modes: vec![NodeMode::Managed, NodeMode::External, NodeMode::None],
            managements: 2,
            tunnels,
            clocks: true,
        };
        let mut rng = Rng::with_seed(1);
        let faults = std::iter::repeat_with(|| Fault::draw(&mut rng, &of))
            .take(5000)
            .flatten();
        faults.map(|fault| fault.to_string()).collect()
    }

    #[test]
    fn every_fault_is_drawn_where_it_is_possible() {
        let drawn = drawn(true);
        for fault in [
            "kill openvpn-1",
            "pause openvpn-2",
            "wipe bus",
            "fill disk of the bus",
            "read-only postgres",
            "fill disk of node-3",
            "shift clock of node-2",
            "move bus",
            "change port of node-1",
        ] {
            assert!(drawn.contains(fault), "{fault} is not in {drawn:?}");
        }
        for fault in [
            "kill openvpn-3",
            "pause openvpn-3",
            "change port of node-2",
            "long outage of the bus",
        ] {
            assert!(!drawn.contains(fault), "{fault}");
        }
    }

    #[test]
    fn without_tunnels_no_disk_is_filled_and_no_link_is_cut() {
        let drawn = drawn(false);
        let possible = |fault: &String| {
            !["fill", "cut", "lose", "delay of", "move", "change"]
                .iter()
                .any(|kind| fault.starts_with(kind))
        };
        assert!(drawn.iter().all(possible), "{drawn:?}");
        assert!(drawn.contains("read-only postgres"), "{drawn:?}");
    }
}
