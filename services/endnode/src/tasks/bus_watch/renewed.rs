//! Saves what management gave anew for the OpenVPN server. The task that watches the bus is the only one that changes the identity.

use tokio::sync::oneshot;
use tracing::debug;

use crate::{
    enrolled::Enrolled,
    identity::IdentityError,
    server_certificate::{ReplacedAuthorities, ReplacedCertificate},
};

/// What to save.
#[derive(Debug)]
pub struct Renewed {
    /// Another certificate, PEM, for the key of the node, and the one whose place it takes.
    pub certificate: Option<(String, ReplacedCertificate)>,
    /// Other authorities of the fleet, PEM, and those whose place they take.
    pub authorities: Option<(String, ReplacedAuthorities)>,
    /// Is told whether it was saved.
    pub saved: oneshot::Sender<Result<(), IdentityError>>,
}

/// Saves it. Where that fails, the identity stays as it was. Whether the agent has to start anew: profiles are made with the authorities that it
/// started with.
pub(super) fn keep_renewed(enrolled: &mut Enrolled, renewed: Renewed) -> bool {
    let Renewed {
        certificate,
        authorities,
        saved,
    } = renewed;
    let before = enrolled.identity.clone();
    if let Some((certificate, replaced)) = certificate {
        enrolled.identity.certificate = certificate;
        enrolled.identity.replaced_certificate = Some(replaced);
    }
    let has_others = authorities.is_some();
    if let Some((authorities, replaced)) = authorities {
        enrolled.identity.ca = authorities;
        enrolled.identity.replaced_authorities = Some(replaced);
    }
    let outcome = enrolled.identity.save(&enrolled.dir, &enrolled.keys);
    let is_saved = outcome.is_ok();
    if !is_saved {
        enrolled.identity = before;
    }
    if saved.send(outcome).is_err() {
        debug!("Nobody waits for the certificate to be saved: the agent stops");
    }
    is_saved && has_others
}
