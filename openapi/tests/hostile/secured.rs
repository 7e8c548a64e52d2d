//! The same service with HTTPS, and callers who believe its CA.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vpnmanager_openapi::server::HttpConfig;
use vpnmanager_openapi::server::tls::{Pair, ServedCertificate};

use crate::running::{Running, start_as};

/// A CA.
pub(crate) struct Ca(CertifiedIssuer<'static, KeyPair>);

impl Ca {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    /// A certificate for this name, with the CA at the end of its chain.
    pub(crate) fn pair(&self, name: &str) -> Pair {
        self.pair_with(name, self)
    }

    /// The same with this CA at the end, whether or not it signed.
    pub(crate) fn pair_with(&self, name: &str, end: &Self) -> Pair {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &*self.0).unwrap();
        let chain = format!("{}{}", leaf.pem(), end.0.pem());
        Pair::from_pem(chain.as_bytes(), key.serialize_pem().as_bytes()).unwrap()
    }
}

/// A server with HTTPS until it is dropped.
pub(crate) struct Secured {
    pub(crate) running: Running,
    pub(crate) served: ServedCertificate,
    pub(crate) ca: Ca,
}

pub(crate) async fn start(config: HttpConfig) -> Secured {
    let ca = Ca::new();
    let served = ServedCertificate::new(ca.pair("localhost"));
    let running = start_as(config, |bound| bound.secured(&served)).await;
    Secured { running, served, ca }
}

impl Secured {
    /// A client that speaks these protocols, at one of these versions of TLS.
    pub(crate) fn client(&self, protocols: &[&[u8]], versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()));
        let builder = builder.with_protocol_versions(versions).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        config
    }

    pub(crate) async fn connect(&self, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.running.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// A connection of HTTP/1.1.
    pub(crate) async fn http1(&self) -> TlsStream<TcpStream> {
        let config = self.client(&[b"http/1.1"], &[&TLS13, &TLS12]);
        self.connect(config).await.unwrap()
    }
}
