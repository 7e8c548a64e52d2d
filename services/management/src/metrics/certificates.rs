//! When the certificates of the fleet end. Those of nodes are among the figures of the nodes.

use chrono::{DateTime, Utc};
use vpnmanager_runtime::metrics::{Catalogue, Gauges};

const SECONDS_OF_A_DAY: f64 = 86_400.0;

/// The figures of certificates. Cheap to clone.
#[derive(Debug, Clone)]
pub struct CertificateMetrics {
    days: Gauges<1>,
}

impl CertificateMetrics {
    /// Registers them.
    pub fn register(catalogue: &mut Catalogue) -> Self {
        Self {
            days: catalogue.gauges(
                "vpnmanager_certificate_days_left",
                "Days until a certificate of the fleet ends: the CA, or that of the bus",
                ["certificate"],
            ),
        }
    }

    /// This certificate ends then.
    pub fn show(&self, certificate: &str, end: DateTime<Utc>, now: DateTime<Utc>) {
        self.days.set([certificate], days_until(end, now));
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
