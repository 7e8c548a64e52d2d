//! When the certificates of the fleet end. Those of nodes are among the figures of the nodes.

use chrono::{DateTime, Utc};
use sea_orm::FromQueryResult;
use vpnmanager_runtime::metrics::{Catalogue, Gauges};

const SECONDS_OF_A_DAY: f64 = 86_400.0;

/// What the database knows of the ends of certificates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromQueryResult)]
pub struct CertificateEnds {
    /// When that of the bus's server ends.
    pub bus_server: Option<DateTime<Utc>>,
    /// When the first of the HTTPS of all replicas ends.
    pub https: Option<DateTime<Utc>>,
    /// How many of devices end within a day.
    pub clients_1: i64,
    /// How many of devices end within 7 days, those before included.
    pub clients_7: i64,
    /// The same within 14 days.
    pub clients_14: i64,
    /// The same within 30 days.
    pub clients_30: i64,
}

/// The figures of certificates. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CertificateMetrics {
    days: Gauges<1>,
    clients: Gauges<1>,
}

impl CertificateMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            days: catalogue.gauges(
                "vpnmanager_certificate_days_left",
                "Days until a certificate of the fleet ends: the CA, those of the bus, or the first of the HTTPS of all replicas",
                ["certificate"],
            ),
            clients: catalogue.gauges(
                "vpnmanager_client_certificates_ending",
                "Certificates of devices that end within so many days, counted once a minute at most",
                ["within_days"],
            ),
        }
    }

    /// This certificate ends then.
    pub fn show(&self, certificate: &str, end: DateTime<Utc>, now: DateTime<Utc>) {
        self.days.set([certificate], days_until(end, now));
    }

    /// The database says this.
    pub fn read(&self, ends: &CertificateEnds, now: DateTime<Utc>) {
        for (certificate, end) in [("bus_server", ends.bus_server), ("https", ends.https)] {
            if let Some(end) = end {
                self.show(certificate, end, now);
            }
        }
        for (days, certificates) in [
            ("1", ends.clients_1),
            ("7", ends.clients_7),
            ("14", ends.clients_14),
            ("30", ends.clients_30),
        ] {
            self.clients.set([days], certificates as f64);
        }
    }
}

/// Days from now until then; less than 0 where it is over.
pub fn days_until(end: DateTime<Utc>, now: DateTime<Utc>) -> f64 {
    (end - now).num_seconds() as f64 / SECONDS_OF_A_DAY
}

/// The end of a certificate (PEM), if it can be read.
pub fn end_of(pem: &str) -> Option<DateTime<Utc>> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    DateTime::from_timestamp(certificate.validity().not_after.timestamp(), 0)
}
