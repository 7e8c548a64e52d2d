//! The fleet's certificate authority and its tls-crypt-v2 key. Private keys of users are never here: only public keys are received.

mod authority;
mod certificate;
mod csr;
mod facts;
mod folder;
mod open_error;
mod sealed;

pub use authority::{Pki, PkiError, Signed};
pub use csr::InvalidCsr;
pub use facts::CertificateFacts;
pub(crate) use facts::first_certificate;
pub(crate) use folder::{CA_CERTIFICATE, FILES, all_certificates};
pub use open_error::OpenPkiError;
