//! HTTPS: the certificate that is served, from files that may change or from elsewhere.

mod config;
mod files;
mod pair;
mod served;

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::version::{TLS12, TLS13};

pub use config::{SETTINGS, TlsConfig, is_on_loopback};
pub use files::{FilesError, PairFiles, follow};
pub use pair::{Pair, PairError};
pub use served::ServedCertificate;

/// The name of HTTP/2 in handshakes (RFC 9113, section 3.2).
pub(super) const HTTP_2: &[u8] = b"h2";

const HTTP_1: &[u8] = b"http/1.1";

/// Shakes hands with this certificate, at TLS 1.2 or 1.3.
pub(super) fn server_config(served: &ServedCertificate) -> Arc<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .expect("the provider has ciphers for both versions");
    let mut config = builder
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(served.clone()));
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Arc::new(config)
}
