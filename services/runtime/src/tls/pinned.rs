//! Believing one CA that is known by its fingerprint alone: whoever is called sends it with its certificate.

use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use super::fingerprint::Fingerprint;

/// Calls whoever shows a certificate of the CA with this fingerprint, for the name that was dialled.
#[derive(Debug, Clone)]
pub struct PinnedAuthority {
    pin: Fingerprint,
    found: Arc<OnceLock<CertificateDer<'static>>>,
}

/// Whoever answered is somebody else.
#[derive(thiserror::Error)]
#[error(
    "the certificate does not come with the CA that the join token names: somebody else answers there, or management has another certificate \
     since the token was made"
)]
struct OtherAuthority;

/// rustls shows it in this way.
impl Debug for OtherAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl PinnedAuthority {
    /// The CA with this fingerprint.
    #[must_use]
    pub fn new(pin: Fingerprint) -> Self {
        Self {
            pin,
            found: Arc::default(),
        }
    }

    /// The certificate of the CA, once somebody has shown it.
    #[must_use]
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.found.get().cloned()
    }

    /// How a client of TLS believes nobody else.
    ///
    /// # Panics
    /// Never: the provider has ciphers for TLS 1.2 and 1.3.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let provider = Arc::new(default_provider());
        let verifier = Verifier {
            authority: self.clone(),
            provider: provider.clone(),
        };
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the provider has ciphers for both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()
    }
}

#[derive(Debug)]
struct Verifier {
    authority: PinnedAuthority,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    /// Signatures, times and the name are checked as ever. Only where the CA comes from is another matter.
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pinned = intermediates
            .iter()
            .find(|certificate| Fingerprint::of(certificate) == self.authority.pin)
            .ok_or_else(|| CertificateError::Other(OtherError(Arc::new(OtherAuthority))))?;
        let mut roots = RootCertStore::empty();
        roots.add(pinned.clone().into_owned())?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let verified = verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        // The same one each time.
        let _known = self.authority.found.set(pinned.clone().into_owned());
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
