//! All figures of the agent.

use vpnmanager_runtime::metrics::{Catalogue, Exposed, HttpMetrics, ProcessMetrics};

use super::{bus::BusMetrics, holdings::HoldingMetrics, server::ServerMetrics, work::WorkMetrics};

/// All figures. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Figures {
    /// The VPN server.
    pub server: ServerMetrics,
    /// What the node holds.
    pub holdings: HoldingMetrics,
    /// The way to management.
    pub bus: BusMetrics,
    /// What the agent does.
    pub work: WorkMetrics,
    /// The local API.
    pub http: HttpMetrics,
    /// The process.
    pub process: ProcessMetrics,
    /// All of them as text, and as a list for the manual.
    pub exposed: Exposed,
}

impl Figures {
    /// Registers all of them.
    #[must_use]
    pub fn new() -> Self {
        let mut catalogue = Catalogue::default();
        let process = ProcessMetrics::register(&mut catalogue, "vpnmanager-endnode", env!("CARGO_PKG_VERSION"));
        Self {
            server: ServerMetrics::register(&mut catalogue),
            holdings: HoldingMetrics::register(&mut catalogue),
            bus: BusMetrics::register(&mut catalogue),
            work: WorkMetrics::register(&mut catalogue),
            http: HttpMetrics::register(&mut catalogue),
            process,
            exposed: catalogue.expose(),
        }
    }
}

impl Default for Figures {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_runtime::metrics::Listed;

    use super::*;

    #[test]
    fn the_manual_lists_every_figure() {
        let page = include_str!("../../../../docs/monitoring.md");
        let (_, section) = page.split_once("\n## Figures of a node\n").expect("the heading");
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = Figures::new().exposed.listed().iter().map(Listed::row).collect();
        assert_eq!(rows, expected);
    }
}
