//! All figures of this replica.

use vpnmanager_runtime::metrics::{Catalogue, Exposed, HttpMetrics, ProcessMetrics};

use super::{
    bus::BusMetrics, certificates::CertificateMetrics, database::DatabaseMetrics, fleet::FleetMetrics,
    users::UserMetrics, work::WorkMetrics,
};

/// All figures. Cheap to clone; all clones are the same.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Nodes.
    pub fleet: FleetMetrics,
    /// Users.
    pub users: UserMetrics,
    /// What this replica does.
    pub work: WorkMetrics,
    /// The bus.
    pub bus: BusMetrics,
    /// PostgreSQL.
    pub database: DatabaseMetrics,
    /// Certificates.
    pub certificates: CertificateMetrics,
    /// The HTTP API.
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
        let process = ProcessMetrics::register(&mut catalogue, "vpnmanager-management", env!("CARGO_PKG_VERSION"));
        Self {
            fleet: FleetMetrics::register(&mut catalogue),
            users: UserMetrics::register(&mut catalogue),
            work: WorkMetrics::register(&mut catalogue),
            bus: BusMetrics::register(&mut catalogue),
            database: DatabaseMetrics::register(&mut catalogue),
            certificates: CertificateMetrics::register(&mut catalogue),
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
        let (_, section) = page.split_once("\n## Figures of management\n").expect("the heading");
        let section = section.split("\n## ").next().unwrap_or_default();
        let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
        let expected: Vec<String> = Figures::new().exposed.listed().iter().map(Listed::row).collect();
        assert_eq!(rows, expected);
    }
}
