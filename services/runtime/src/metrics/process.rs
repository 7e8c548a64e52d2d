//! What the system says of this process: processor time, memory, files. The names are those that Prometheus' own libraries use.

use std::fs;

use super::catalogue::{Catalogue, Counter, Gauge, Seconds};
use crate::{contain, descriptors};

/// Ticks in a second in what the kernel tells programs: 100 on each of our targets (time(7)).
const TICKS_PER_SECOND: f64 = 100.0;

/// The figures of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ProcessMetrics {
    cpu: Seconds,
    resident: Gauge,
    open_files: Gauge,
    most_files: Gauge,
    started: Gauge,
    panics: Counter,
}

impl ProcessMetrics {
    /// Registers them, with what runs: the release of the program.
    pub fn register(catalogue: &mut Catalogue, program: &'static str, version: &'static str) -> Self {
        catalogue.info(
            "vpnmanager_build_info",
            "What runs",
            [("program", program), ("version", version)],
        );
        Self {
            cpu: catalogue.seconds("process_cpu_seconds_total", "Processor time that the process has used"),
            resident: catalogue.gauge("process_resident_memory_bytes", "Memory of the process"),
            open_files: catalogue.gauge("process_open_fds", "Files that the process has open"),
            most_files: catalogue.gauge("process_max_fds", "Files that the process may have open"),
            started: catalogue.gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
            ),
            panics: catalogue.counter(
                "vpnmanager_panics_total",
                "Messages whose handling panicked: each is a fault of the program",
            ),
        }
    }

    /// Asks the system. What it does not say stays as it was.
    pub fn look(&self) {
        self.panics.follow(contain::contained());
        self.most_files.set(descriptors::limit() as f64);
        if let Ok(open) = fs::read_dir("/proc/self/fd") {
            // One is that of this look.
            let open = open.count().saturating_sub(1);
            self.open_files.set(f64::from(u32::try_from(open).unwrap_or(u32::MAX)));
        }
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        if let Some(bytes) = resident_of(&status) {
            self.resident.set(bytes);
        }
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let Some(Times { used, started }) = times_of(&stat) else {
            return;
        };
        self.cpu.follow(used);
        let system = fs::read_to_string("/proc/stat").unwrap_or_default();
        if let Some(boot) = boot_of(&system) {
            self.started.set(boot + started);
        }
    }
}

/// Seconds, of proc_pid_stat(5).
#[derive(Debug, PartialEq)]
struct Times {
    used: f64,
    /// After the start of the system.
    started: f64,
}

fn times_of(stat: &str) -> Option<Times> {
    // The name of the program is in parentheses and may hold spaces.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The first of these is the third of the manual's.
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    Some(Times {
        used: (ticks(14)? + ticks(15)?) / TICKS_PER_SECOND,
        started: ticks(22)? / TICKS_PER_SECOND,
    })
}

fn resident_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

fn boot_of(stat: &str) -> Option<f64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel_are_read() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 1200 1 2 3";
        let times = times_of(stat);
        assert_eq!(
            times,
            Some(Times {
                used: 3.0,
                started: 12.0
            })
        );
        assert_eq!(resident_of("VmPeak:\t  9 kB\nVmRSS:\t    2048 kB\n"), Some(2_097_152.0));
        assert_eq!(boot_of("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000.0));
        assert_eq!((times_of(""), resident_of(""), boot_of("")), (None, None, None));
    }

    #[test]
    fn this_process_uses_memory_and_files() {
        let mut catalogue = Catalogue::default();
        let process = ProcessMetrics::register(&mut catalogue, "test", "0");
        let exposed = catalogue.expose();
        process.look();
        let text = exposed.text();
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            line.and_then(|value| value.parse().ok())
                .unwrap_or_else(|| panic!("{name} is not in\n{text}"))
        };
        assert!(value("process_resident_memory_bytes") > 1e5);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_start_time_seconds") > 1.6e9);
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
