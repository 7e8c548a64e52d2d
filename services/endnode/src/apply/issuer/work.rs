//! The states of an order's profiles. Pure, except that rendering draws random bytes.

use vpnmanager_nats::{
    commands::Remote,
    ids::CommonName,
    sign::{SignRefusal, SignResult, SignedCertificate},
};

use super::result::IssueError;
use crate::{
    apply::{
        commit::IssueOrder,
        render::{Pki, render},
    },
    journal::{NewProfile, StoredKey},
};

/// One order on its way.
pub(super) struct Work {
    pub(super) order: IssueOrder,
    /// One for each profile of the order.
    pub(super) items: Vec<Item>,
}

/// One profile on its way.
pub(super) struct Item {
    pub(super) common_name: CommonName,
    pub(super) state: State,
}

/// How far it is.
pub(super) enum State {
    /// Needs a certificate.
    Keyed(StoredKey),
    /// Has everything that it needs. The certificate is given where it is new, and is in the key's row otherwise.
    Certified(StoredKey, Option<SignedCertificate>),
    /// Rendered.
    Rendered(NewProfile),
    /// Management refuses to certify it: an invalid request calls for another key, every other refusal is for ever.
    Lost(SignRefusal),
    /// The credential is gone: a newer command took it away.
    Gone,
    /// Not this time.
    Later(IssueError),
}

impl Item {
    /// After the profile was rendered, where everything for it is there.
    pub(super) fn rendered(self, pki: &Pki, remotes: &[Remote]) -> Self {
        let Self { common_name, state } = self;
        let state = state.rendered(pki, &common_name, remotes);
        Self { common_name, state }
    }
}

impl State {
    /// `None`: there is no such credential any more.
    pub(super) fn of_key(key: Option<StoredKey>) -> Self {
        match key {
            None => Self::Gone,
            Some(key) if key.certificate.is_some() => Self::Certified(key, None),
            Some(key) => Self::Keyed(key),
        }
    }

    /// After management answered about this credential.
    pub(super) fn certified(self, name: &CommonName, result: Result<SignResult, IssueError>) -> Self {
        let Self::Keyed(key) = self else { return self };
        match result {
            Ok(SignResult::Signed(signed)) if signed.common_name == *name => Self::Certified(key, Some(signed)),
            Ok(SignResult::Refused { common_name, reason }) if common_name == *name => Self::Lost(reason),
            Ok(SignResult::Signed(_) | SignResult::Refused { .. } | SignResult::Unavailable { .. }) => {
                Self::Later(IssueError::Unavailable)
            }
            Err(error) => Self::Later(error),
        }
    }

    fn rendered(self, pki: &Pki, name: &CommonName, remotes: &[Remote]) -> Self {
        match self {
            Self::Certified(key, signed) => match render(pki, &key, signed, name, remotes) {
                Ok(profile) => Self::Rendered(profile),
                Err(error) => Self::Later(IssueError::Render(error.into())),
            },
            Self::Keyed(_) | Self::Rendered(_) | Self::Lost(_) | Self::Gone | Self::Later(_) => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use vpnmanager_nats::sign::SignResult;

    use super::*;

    fn keyed() -> State {
        State::of_key(Some(StoredKey {
            key: String::new().into(),
            csr: String::new(),
            certificate: None,
            tls_crypt_v2: None,
        }))
    }

    #[test]
    fn only_an_answer_about_the_same_credential_counts() {
        let (alice, bob): (CommonName, CommonName) = ("alice.x".parse().unwrap(), "bob.x".parse().unwrap());
        let refused = |name: &CommonName| SignResult::Refused {
            common_name: name.clone(),
            reason: SignRefusal::InvalidCsr,
        };
        assert!(matches!(
            keyed().certified(&alice, Ok(refused(&alice))),
            State::Lost(SignRefusal::InvalidCsr)
        ));
        assert!(matches!(
            keyed().certified(&alice, Ok(refused(&bob))),
            State::Later(IssueError::Unavailable)
        ));
        assert!(matches!(
            keyed().certified(&alice, Err(IssueError::Unavailable)),
            State::Later(_)
        ));
        assert!(matches!(
            State::of_key(None).certified(&alice, Ok(refused(&alice))),
            State::Gone
        ));
    }
}
