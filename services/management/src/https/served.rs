//! What operations know of the certificate that the API is served with.

use std::sync::{Arc, OnceLock};

use vpnmanager_openapi::server::tls::{Pair, ServedCertificate};

/// The certificate of this replica's API. Cheap to clone; there is none before the API is served, and where it is served in the clear.
#[derive(Debug, Clone, Default)]
pub struct HttpsCertificate(Arc<OnceLock<ServedCertificate>>);

impl HttpsCertificate {
    /// This one is served from now on.
    pub fn serves(&self, served: ServedCertificate) {
        // Once in a process.
        let _already = self.0.set(served);
    }

    /// The certificate.
    #[must_use]
    pub fn pair(&self) -> Option<Pair> {
        self.0.get().map(ServedCertificate::pair)
    }

    /// The CA that callers find at the end of the chain, by its fingerprint: what a join token names.
    #[must_use]
    pub fn authority(&self) -> Option<String> {
        self.pair()?.root_fingerprint().map(str::to_owned)
    }
}
