//! The fleet's certificate authority and its tls-crypt-v2 key. Private keys of users are never here: only public keys are received.

mod authority;
mod certificate;
mod csr;
mod folder;
mod open_error;

pub use authority::{Pki, PkiError, Signed};
pub use csr::InvalidCsr;
pub(crate) use folder::FILES;
pub use open_error::OpenPkiError;
