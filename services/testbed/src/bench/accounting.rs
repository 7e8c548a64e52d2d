//! CPU time and memory of every process of the stack, and the CPU time of other processes.

use std::{fs, time::Duration};

use serde::Serialize;
use vpnmanager_testbed::{
    process::Identity,
    stack::{Part, Stack},
};

/// Unit of the times in `/proc`: 100 per second on every architecture that Linux servers run on.
const TICK: Duration = Duration::from_millis(10);

/// One program of the stack; PostgreSQL is a process for each connection.
#[derive(Debug, Clone)]
struct Party {
    name: String,
    process: Identity,
    with_children: bool,
}

/// The counted programs: the services, PostgreSQL and nats-server, and this program, which makes the load.
#[derive(Debug, Clone)]
pub(super) struct Parties(Vec<Party>);

/// Times since the start of each process and of the machine.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    parties: Vec<Duration>,
    machine: Machine,
}

#[derive(Debug, Clone, Copy, Default)]
struct Machine {
    busy: u64,
    stolen: u64,
    total: u64,
}

/// What was used between two readings.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Usage {
    /// CPU-seconds by name.
    pub(super) cpu_s: Vec<(String, f64)>,
    /// Share of the machine's CPU time that other processes used.
    pub(super) others_percent: f64,
    /// Share that the hypervisor gave to other machines.
    pub(super) stolen_percent: f64,
}

impl Parties {
    pub(super) fn of(stack: &Stack) -> Self {
        let nodes = stack.nodes().map(|node| Part::Node(node.number()));
        let openvpns = stack.nodes().map(|node| Part::Openvpn(node.number()));
        let parts = [Part::Management, Part::Nats, Part::Postgres];
        let mut parties: Vec<Party> = parts
            .into_iter()
            .chain(nodes)
            .chain(openvpns)
            .filter_map(|part| {
                Some(Party {
                    name: part.to_string(),
                    process: stack.process(part)?,
                    with_children: part == Part::Postgres,
                })
            })
            .collect();
        if let Ok(process) = Identity::of(std::process::id().cast_signed()) {
            let name = "bench (load)".to_owned();
            parties.push(Party {
                name,
                process,
                with_children: false,
            });
        }
        Self(parties)
    }

    pub(super) fn read(&self) -> Reading {
        let parties = self.0.iter().map(Party::cpu_time).collect();
        Reading {
            parties,
            machine: Machine::read(),
        }
    }

    /// What was used since an earlier reading.
    pub(super) fn since(&self, earlier: &Reading) -> Usage {
        let now = self.read();
        let used = now
            .parties
            .iter()
            .zip(&earlier.parties)
            .map(|(now, then)| now.saturating_sub(*then));
        let cpu_s: Vec<(String, f64)> = self
            .0
            .iter()
            .zip(used)
            .map(|(party, used)| (party.name.clone(), used.as_secs_f64()))
            .collect();
        let ours: f64 = cpu_s.iter().map(|(_, used)| used).sum();
        let total = seconds(now.machine.total - earlier.machine.total).max(TICK.as_secs_f64());
        let busy = seconds(now.machine.busy - earlier.machine.busy);
        let stolen = seconds(now.machine.stolen - earlier.machine.stolen);
        Usage {
            cpu_s,
            others_percent: (busy - ours).max(0.0) / total * 100.0,
            stolen_percent: stolen / total * 100.0,
        }
    }

    /// Resident memory by name in MiB; pages that processes share are divided among them.
    pub(super) fn memory(&self) -> Vec<(String, f64)> {
        self.0
            .iter()
            .map(|party| (party.name.clone(), party.memory()))
            .collect()
    }
}

impl Party {
    fn pids(&self) -> Vec<i32> {
        let mut pids = vec![self.process.pid];
        if self.with_children {
            let all = fs::read_dir("/proc").into_iter().flatten().flatten();
            let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
            pids.extend(numbers.filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.parent == self.process.pid)));
        }
        pids
    }

    /// The CPU time, including that of children that have ended.
    fn cpu_time(&self) -> Duration {
        let times = self.pids().into_iter().filter_map(Stat::read).map(|stat| {
            let ended = if self.with_children { stat.ended_children } else { 0 };
            stat.own + ended
        });
        TICK * u32::try_from(times.sum::<u64>()).unwrap_or(u32::MAX)
    }

    fn memory(&self) -> f64 {
        let kib = |pid: i32| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        self.pids().into_iter().filter_map(kib).sum::<f64>() / 1024.0
    }
}

struct Stat {
    parent: i32,
    own: u64,
    ended_children: u64,
}

impl Stat {
    /// `proc(5)`; the command's name, in brackets, may hold spaces.
    fn read(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            parent: fields.get(1)?.parse().ok()?,
            own: ticks(11)? + ticks(12)?,
            ended_children: ticks(13)? + ticks(14)?,
        })
    }
}

impl Machine {
    fn read() -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line
            .split_whitespace()
            .skip(1)
            .filter_map(|field| field.parse().ok())
            .collect();
        // user nice system idle iowait irq softirq steal
        let at = |index: usize| ticks.get(index).copied().unwrap_or_default();
        let busy = at(0) + at(1) + at(2) + at(5) + at(6);
        let stolen = at(7);
        Self {
            busy,
            stolen,
            total: busy + stolen + at(3) + at(4),
        }
    }
}

fn seconds(ticks: u64) -> f64 {
    TICK.as_secs_f64() * f64::from(u32::try_from(ticks).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_time_is_counted_and_that_of_a_child_too() {
        let me = Party {
            name: "test".to_owned(),
            process: Identity::of(std::process::id().cast_signed()).unwrap(),
            with_children: true,
        };
        let before = me.cpu_time();
        std::process::Command::new("sh")
            .args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"])
            .status()
            .unwrap();
        assert!(me.cpu_time() - before >= TICK * 2, "{before:?} {:?}", me.cpu_time());
        assert!(me.memory() > 0.5);
    }
}
