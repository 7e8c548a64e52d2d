//! Certificate authorities as easy-rsa and `openssl ca` keep them.

mod authority;
mod certificate;
mod circumstances;
mod folder;
mod index;
mod records;
mod revocations;
mod users;

pub use self::certificate::BadCertificate;
pub(crate) use self::{
    authority::Authority,
    certificate::{Certificate, certificates_in},
    circumstances::Circumstances,
    folder::PkiFolder,
    revocations::{List, Revocations},
    users::Issued,
};
