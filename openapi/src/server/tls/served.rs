//! The certificate that is served at this moment.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::Pair;

/// A certificate that may be replaced while connections last: those that shook hands with the former one stay. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServedCertificate(Arc<RwLock<Pair>>);

impl ServedCertificate {
    /// Serves this one.
    #[must_use]
    pub fn new(pair: Pair) -> Self {
        Self(Arc::new(RwLock::new(pair)))
    }

    /// Serves another one from now on.
    pub fn replace(&self, pair: Pair) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = pair;
    }

    /// The one that is served.
    #[must_use]
    pub fn pair(&self) -> Pair {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for ServedCertificate {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair().certified)
    }
}
