//! The authorities of the fleet, of which there are two while one takes the place of the other.

use vpnmanager_entities::certificate_authority::{Model, Stage};

use crate::pki::CertificateFacts;

/// Those that are trusted, the oldest first. At least one, once management has started.
#[derive(Debug, Clone)]
pub struct Authorities(Vec<Model>);

impl Authorities {
    /// As they are recorded.
    pub fn new(mut rows: Vec<Model>) -> Self {
        rows.sort_by(|one, other| (one.created_at, &one.fingerprint).cmp(&(other.created_at, &other.fingerprint)));
        Self(rows)
    }

    /// All of them.
    pub fn all(&self) -> &[Model] {
        &self.0
    }

    /// The one at this stage.
    pub fn at(&self, stage: Stage) -> Option<&Model> {
        self.0.iter().find(|authority| authority.stage == stage)
    }

    /// The certificates of all, PEM: what clients and nodes trust.
    pub fn bundle(&self) -> String {
        let texts = self
            .0
            .iter()
            .map(|authority| format!("{}\n", authority.certificate.trim_end()));
        texts.collect()
    }

    /// The fingerprint of the one that signs certificates of users.
    pub fn of_clients(&self) -> &str {
        self.at(Stage::Present)
            .map_or("none", |present| present.fingerprint.as_str())
    }

    /// The fingerprint of the one that signs certificates of nodes, and statements: the former one as long as clients may know it alone.
    pub fn of_servers(&self) -> &str {
        let former = self.at(Stage::Former);
        former.map_or_else(|| self.of_clients(), |former| former.fingerprint.as_str())
    }

    /// The fingerprint of the one that signed this certificate, as its issuer says: no two of them have one name.
    pub fn signer_of(&self, facts: &CertificateFacts) -> Option<&str> {
        let mut all = self.0.iter();
        let signer = all.find(|authority| {
            let of_authority = CertificateFacts::of_pem(&authority.certificate);
            of_authority.is_some_and(|authority| authority.subject == facts.issuer)
        });
        signer.map(|authority| authority.fingerprint.as_str())
    }
}

/// The steps of a rollover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// There is another authority, and all are to trust both.
    Begin,
    /// It signs the certificates of users.
    Clients,
    /// It signs the certificates of nodes.
    Servers,
    /// The old one is trusted no more.
    Finish,
}

impl Step {
    /// The one that comes next; after [`Step::Finish`] it is [`Step::Begin`] again.
    pub fn due(authorities: &Authorities) -> Self {
        let at = |stage| authorities.at(stage).is_some();
        match (at(Stage::Next), at(Stage::Former), at(Stage::Leaving)) {
            (true, _, _) => Self::Clients,
            (false, true, _) => Self::Servers,
            (false, false, true) => Self::Finish,
            (false, false, false) => Self::Begin,
        }
    }

    /// The word on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Clients => "clients",
            Self::Servers => "servers",
            Self::Finish => "finish",
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};

    use super::*;

    fn of(stages: &[Stage]) -> Authorities {
        let rows = stages.iter().zip(0_i64..).map(|(stage, number)| Model {
            fingerprint: format!("{number}"),
            certificate: format!("PEM {number}\n\n"),
            created_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(number),
            stage: *stage,
        });
        let mut rows: Vec<Model> = rows.collect();
        rows.reverse();
        Authorities::new(rows)
    }

    #[test]
    fn each_step_follows_the_one_before_it_and_nodes_come_after_users() {
        for (stages, due, of_clients, of_servers) in [
            (&[Stage::Present][..], Step::Begin, "0", "0"),
            (&[Stage::Present, Stage::Next][..], Step::Clients, "0", "0"),
            (&[Stage::Former, Stage::Present][..], Step::Servers, "1", "0"),
            (&[Stage::Leaving, Stage::Present][..], Step::Finish, "1", "1"),
        ] {
            let authorities = of(stages);
            assert_eq!(Step::due(&authorities), due);
            assert_eq!(
                (authorities.of_clients(), authorities.of_servers()),
                (of_clients, of_servers)
            );
        }
        assert_eq!(of(&[Stage::Former, Stage::Present]).bundle(), "PEM 0\nPEM 1\n");
    }
}
