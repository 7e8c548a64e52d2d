//! The faults, and how they are chosen.

use std::{fmt, time::Duration};

use fastrand::Rng;
use vpnmanager_testbed::stack::Part;

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

/// What the stack has that can fail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Breakable {
    pub(super) nodes: u8,
    pub(super) managements: u8,
    /// Whether there are namespaces to cut off, disks to fill, and the proxy that delays.
    pub(super) tunnels: bool,
    /// Whether clocks can be shifted.
    pub(super) clocks: bool,
}

impl Fault {
    /// Chooses one fault, or now and then a fault of the whole control plane.
    pub(super) fn draw(rng: &mut Rng, of: Breakable) -> Vec<Self> {
        let node = rng.u8(1..=of.nodes);
        let one = match rng.u8(0..100) {
            0..25 => Self::Kill(draw_part(rng, of)),
            25..42 => Self::Pause(draw_part(rng, of)),
            42..46 => return Self::control_plane(of),
            46..53 => Self::WipeBus,
            53..58 => Self::DeleteJournal(node),
            58..64 => Self::TruncateJournal(node),
            64..70 => Self::AddAllowed(node),
            70..76 => Self::RemoveAllowed(node),
            76..83 if of.tunnels => Self::CutLink(node),
            83..88 if of.tunnels => Self::LosePackets(node),
            88..92 if of.tunnels => Self::Delay(node),
            92..96 if of.tunnels => Self::FillDisk(node),
            96.. if of.clocks => Self::ShiftClock(node),
            76.. => Self::Kill(Part::Node(node)),
        };
        vec![one]
    }

    fn control_plane(of: Breakable) -> Vec<Self> {
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
            Self::LosePackets(_) | Self::Delay(_) | Self::FillDisk(_) | Self::ShiftClock(_) => rng.u64(2000..10_000),
            Self::AddAllowed(_) | Self::RemoveAllowed(_) => 0,
        };
        Duration::from_millis(millis)
    }

    pub(super) fn target(self) -> Target {
        match self {
            Self::Kill(part) | Self::Pause(part) => Target::Part(part),
            Self::WipeBus => Target::Part(Part::Nats),
            Self::DeleteJournal(node) | Self::TruncateJournal(node) | Self::ShiftClock(node) => {
                Target::Part(Part::Node(node))
            }
            Self::AddAllowed(node) | Self::RemoveAllowed(node) => Target::AllowList(node),
            Self::CutLink(node) | Self::LosePackets(node) => Target::Link(node),
            Self::Delay(node) => Target::Way(node),
            Self::FillDisk(node) => Target::Disk(node),
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
            Self::ShiftClock(_) => "shift clock".to_owned(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(part) => write!(f, "kill {part}"),
            Self::Pause(part) => write!(f, "pause {part}"),
            Self::WipeBus => f.write_str("wipe bus"),
            Self::DeleteJournal(node)
            | Self::TruncateJournal(node)
            | Self::AddAllowed(node)
            | Self::RemoveAllowed(node)
            | Self::CutLink(node)
            | Self::LosePackets(node)
            | Self::Delay(node)
            | Self::FillDisk(node)
            | Self::ShiftClock(node) => write!(f, "{} of node-{node}", self.kind()),
        }
    }
}

fn draw_part(rng: &mut Rng, of: Breakable) -> Part {
    let node = rng.u8(1..=of.nodes);
    match rng.u8(0..10) {
        0..3 => match rng.u8(1..=of.managements) {
            1 => Part::Management,
            number => Part::Replica(number),
        },
        3..5 => Part::Nats,
        5..7 => Part::Postgres,
        7 if of.tunnels => Part::Openvpn(node),
        7.. => Part::Node(node),
    }
}
