//! The memory and the CPU time of management and of nats-server.

use std::{
    fs,
    time::{Duration, Instant},
};

use vpnmanager_testbed::{
    process::Identity,
    stack::{Part, Stack},
};

/// Resident memory now, and the most since the mark was set back; proc(5).
const NOW: &str = "VmRSS:";
const HIGHEST: &str = "VmHWM:";

/// A reading, from which a later one is counted.
#[derive(Debug)]
pub(super) struct Gauge {
    management: Option<Identity>,
    bus: Option<Identity>,
    begun: Instant,
    used: [Duration; 2],
    /// What nats-server had, in MiB.
    bus_mib: f64,
}

/// What was used since then.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub(super) struct Used {
    /// Share of one core, in percent.
    pub(super) management_cpu: f64,
    pub(super) bus_cpu: f64,
    /// The most resident memory at any moment, in MiB.
    pub(super) management_mib: f64,
    pub(super) bus_mib: f64,
    /// By how much nats-server's memory grew, at most.
    pub(super) bus_growth_mib: f64,
}

impl Gauge {
    /// Begins to count. The highest memory of both processes is forgotten.
    pub(super) fn begin(stack: &Stack) -> Self {
        let (management, bus) = (stack.process(Part::Management), stack.process(Part::Nats));
        for process in [management, bus].into_iter().flatten() {
            // proc(5): 5 sets the high-water mark back. Where that is not allowed, the mark is that of the whole life.
            let _ = fs::write(format!("/proc/{}/clear_refs", process.pid), "5");
        }
        Self {
            management,
            bus,
            begun: Instant::now(),
            used: [cpu(management), cpu(bus)],
            bus_mib: memory(bus, NOW),
        }
    }

    /// What was used since [`Gauge::begin`].
    pub(super) fn read(&self) -> Used {
        let share = |process, before| {
            let used = cpu(process).saturating_sub(before);
            used.as_secs_f64() / self.begun.elapsed().as_secs_f64().max(0.01) * 100.0
        };
        let bus_mib = memory(self.bus, HIGHEST);
        Used {
            management_cpu: share(self.management, self.used[0]),
            bus_cpu: share(self.bus, self.used[1]),
            management_mib: memory(self.management, HIGHEST),
            bus_mib,
            bus_growth_mib: bus_mib - self.bus_mib,
        }
    }
}

fn cpu(process: Option<Identity>) -> Duration {
    process.and_then(|process| process.cpu_time()).unwrap_or_default()
}

/// Resident memory in MiB: `which` is a line of `/proc/<pid>/status`.
fn memory(process: Option<Identity>, which: &str) -> f64 {
    let read = |process: Identity| {
        let text = fs::read_to_string(format!("/proc/{}/status", process.pid)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(which))?;
        line.split_whitespace().next()?.parse::<f64>().ok()
    };
    process.and_then(read).unwrap_or_default() / 1024.0
}
