//! Renews the certificate of the node's OpenVPN server, for the key that the node has: so one file changes, and whatever moment OpenVPN starts at, it
//! finds a certificate that fits its key. A running OpenVPN is left alone.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use vpnmanager_nats::{
    envelope::{DecodeError, Envelope},
    sign::{Fingerprint, RunningServer, ServerRefusal, ServerRequest, ServerResult, SignAnswer, SignRequest},
    subjects,
};
use vpnmanager_runtime::{
    backoff::{Backoff, jittered},
    error_chain::chain,
};

use super::bus_watch::Renewed;
use crate::{
    apply::is_for_key,
    backend::VpnBackend as _,
    enrolled::Enrolled,
    identity::{Identity, IdentityError},
    server_certificate::{
        ReplacedAuthorities, ReplacedCertificate, ServerCertificate, Validity, due_at, fingerprints, signer_among,
    },
    shared::Shared,
};

/// The first question of a run, when little else is to be done. Each asks, also one whose certificate is not due: when that is management decides.
const FIRST: Duration = Duration::from_secs(5);
/// Between two questions: management may have another authority.
const PERIOD: Duration = Duration::from_secs(10 * 60);
/// Between two looks at the OpenVPN that runs: management is told of another one at once.
const LOOK: Duration = Duration::from_secs(30);
/// After a failure. What management refuses a person has to put right, and what an earlier release does not know comes with an upgrade.
const RETRY: Backoff = Backoff::new(Duration::from_secs(60), Duration::from_secs(6 * 60 * 60));
/// Signing is one commit of PostgreSQL; what takes longer is an outage.
const SIGN_TIMEOUT: Duration = Duration::from_secs(5);

/// What the task works with.
pub struct Renewal {
    /// The request for the certificate, PEM.
    csr: String,
    /// The key that it is for, PEM.
    key: SecretString,
    /// What the node has. Only what OpenVPN reads of it is looked at.
    identity: Identity,
    /// The same, for those who tell of it.
    held: ServerCertificate,
    /// Who saves another one.
    keeper: mpsc::Sender<Renewed>,
    /// When management is to be asked next.
    next: Instant,
    /// What it was told last of the OpenVPN that runs.
    told: Option<RunningServer>,
    failures: u32,
    /// What was logged last.
    said: Option<String>,
}

/// A certificate, PEM, and the one whose place it takes.
type NewCertificate = (String, ReplacedCertificate);
/// Authorities, PEM, and those whose place they take.
type NewAuthorities = (String, ReplacedAuthorities);

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// There is another certificate.
    Renewed,
    /// Management gave the one that there is.
    Kept,
}

/// Why there is no other certificate.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error("management does not answer")]
    Request(#[source] async_nats::RequestError),
    #[error("management's answer cannot be read")]
    Answer(#[source] DecodeError),
    #[error("management is of a release that renews no certificates of nodes: upgrade it")]
    Older,
    #[error("management refuses it ({0}): enrol this node again with a token made for it")]
    Refused(ServerRefusal),
    #[error("management cannot sign it at this moment; its log says why")]
    Unavailable,
    #[error("management signed another key than this node's")]
    OtherKey,
    #[error("management has another authority than this node was enrolled with: enrol this node again")]
    ForeignAuthority,
    #[error("it could not be saved")]
    Save(#[source] IdentityError),
    #[error("it could not be saved, because the agent stops")]
    Stopping,
}

impl Renewal {
    /// Of an enrolled node; `held` says what it has.
    ///
    /// # Errors
    /// Its key cannot be used.
    pub fn new(
        enrolled: &Enrolled,
        held: ServerCertificate,
        keeper: mpsc::Sender<Renewed>,
    ) -> Result<Self, IdentityError> {
        let identity = &enrolled.identity;
        Ok(Self {
            csr: enrolled.keys.csr(&identity.server_id)?,
            key: enrolled.keys.server.clone(),
            identity: identity.clone(),
            held,
            keeper,
            next: Instant::now(),
            told: None,
            failures: 0,
            said: None,
        })
    }

    fn is_due(&self, now: DateTime<Utc>) -> bool {
        due_at(&self.identity.certificate).is_none_or(|due| due <= now)
    }

    /// Asks where that is to be done, and gives the pause before the next look.
    async fn look(&mut self, shared: &Shared) -> Duration {
        let since = shared.vpn.health().await.oldest_since;
        // Of an OpenVPN that somebody else runs nobody knows which files it read.
        let running = shared.vpn.would_restart().is_ok().then(|| self.held.running(since));
        let is_news = self.told != running && self.failures == 0;
        if !is_news && Instant::now() < self.next {
            return jittered(LOOK);
        }
        let is_due = self.is_due(Utc::now());
        let pause = match self.renew(shared, running.clone(), since).await {
            Ok(outcome) => {
                self.told = running;
                self.failures = 0;
                self.say_outcome(outcome, is_due);
                PERIOD
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                self.failed(&error, is_due);
                RETRY.after(self.failures)
            }
        };
        let pause = jittered(pause);
        self.next = Instant::now() + pause;
        pause.min(LOOK)
    }

    async fn renew(
        &mut self,
        shared: &Shared,
        running: Option<RunningServer>,
        since: Option<DateTime<Utc>>,
    ) -> Result<Outcome, RenewalError> {
        let (certificate, authorities) = ask(shared, &self.csr, running).await?;
        let (trusted, others) = (
            fingerprints(&self.identity.ca),
            authorities.as_deref().map(fingerprints),
        );
        // Whoever has another fleet's would have all clients of this one refused.
        if others
            .as_ref()
            .is_some_and(|others| !others.iter().any(|one| trusted.contains(one)))
        {
            return Err(RenewalError::ForeignAuthority);
        }
        let authorities = authorities.filter(|_| others.is_some_and(|others| others != trusted));
        let all = authorities.as_deref().unwrap_or(&self.identity.ca);
        let signed_by = signer_among(all, &certificate).ok_or(RenewalError::ForeignAuthority)?;
        if !is_for_key(&certificate, self.key.expose_secret()) {
            return Err(RenewalError::OtherKey);
        }
        let certificate = Some(certificate).filter(|certificate| self.is_better(certificate, &signed_by));
        if certificate.is_none() && authorities.is_none() {
            return Ok(Outcome::Kept);
        }
        let (at, in_use) = (Utc::now(), self.held.running(since));
        let replaced = ReplacedCertificate {
            expires_at: self.held.in_use_until(since).unwrap_or_default(),
            signed_by: in_use.signed_by,
            at,
        };
        let replaced_authorities = ReplacedAuthorities {
            trusted: in_use.trusted,
            at,
        };
        let renewed = (
            certificate.map(|certificate| (certificate, replaced)),
            authorities.map(|authorities| (authorities, replaced_authorities)),
        );
        self.save(renewed.clone()).await?;
        if let Some((certificate, replaced)) = renewed.0 {
            self.identity.certificate = certificate;
            self.identity.replaced_certificate = Some(replaced);
        }
        if let Some((authorities, replaced)) = renewed.1 {
            self.identity.ca = authorities;
            self.identity.replaced_authorities = Some(replaced);
        }
        self.held.replace(self.identity.material());
        shared.node.wakes.heartbeat.wake();
        Ok(Outcome::Renewed)
    }

    /// Whether this one is to take the place of the one that there is. One that ends earlier comes of a database that is that of a backup, unless
    /// another authority signs now.
    fn is_better(&self, certificate: &str, signed_by: &Fingerprint) -> bool {
        let present = &self.identity.certificate;
        let end = |pem: &str| Validity::of_pem(pem).map(|validity| validity.not_after);
        let is_later = end(certificate) >= end(present);
        let is_of_another = signer_among(&self.identity.ca, present).as_ref() != Some(signed_by);
        certificate.trim() != present.trim() && (is_later || is_of_another)
    }

    async fn save(
        &self,
        (certificate, authorities): (Option<NewCertificate>, Option<NewAuthorities>),
    ) -> Result<(), RenewalError> {
        let (saved, done) = oneshot::channel();
        let renewed = Renewed {
            certificate,
            authorities,
            saved,
        };
        self.keeper
            .send(renewed)
            .await
            .map_err(|_closed| RenewalError::Stopping)?;
        let saved = done.await.map_err(|_closed| RenewalError::Stopping)?;
        saved.map_err(RenewalError::Save)
    }

    fn say_outcome(&mut self, outcome: Outcome, was_due: bool) {
        let until = Validity::of_pem(&self.identity.certificate).map(|validity| validity.not_after);
        let until = until.map(|end| end.to_string()).unwrap_or_default();
        match (outcome, was_due) {
            (Outcome::Renewed, _) => {
                self.said = None;
                info!(
                    certificate.until = until,
                    "The certificate of the OpenVPN server is renewed, or the authorities are others; OpenVPN takes that when it next starts"
                );
            }
            // Its clock is ahead of management's, or the authority ends as soon as the certificate.
            (Outcome::Kept, true) => self.say("management gives the one that there is"),
            (Outcome::Kept, false) => debug!(
                certificate.until = until,
                "Management knows of the certificate of the OpenVPN server"
            ),
        }
    }

    fn failed(&mut self, error: &RenewalError, is_due: bool) {
        let text = chain(error).to_string();
        match is_due {
            true => self.say(&text),
            false => debug!(
                error = text,
                "Management could not be asked for the certificate of the OpenVPN server"
            ),
        }
    }

    /// Once, until it is another reason.
    fn say(&mut self, reason: &str) {
        if self.said.as_deref() == Some(reason) {
            return;
        }
        warn!(
            reason,
            "The certificate of the OpenVPN server is due and not renewed; trying again"
        );
        self.said = Some(reason.to_owned());
    }
}

/// Renews until stopped.
pub async fn run(shared: Shared, mut renewal: Renewal, stop: CancellationToken) -> anyhow::Result<()> {
    let mut pause = jittered(FIRST);
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return Ok(()),
        }
        pause = tokio::select! {
            pause = renewal.look(&shared) => pause,
            () = stop.cancelled() => return Ok(()),
        };
    }
}

async fn ask(
    shared: &Shared,
    csr: &str,
    running: Option<RunningServer>,
) -> Result<(String, Option<String>), RenewalError> {
    let question = Envelope::new(SignRequest {
        node: shared.node.id.clone(),
        requests: Vec::new(),
        server: Some(ServerRequest {
            csr: csr.to_owned(),
            running,
        }),
    });
    let request = async_nats::Request::new()
        .payload(question.encode())
        .timeout(Some(SIGN_TIMEOUT));
    let reply = shared.bus.send_request(subjects::sign(&shared.node.id), request).await;
    let reply = reply.map_err(RenewalError::Request)?;
    let answer = Envelope::<SignAnswer>::decode(&reply.payload).map_err(RenewalError::Answer)?;
    match answer.body.server {
        Some(ServerResult::Signed {
            certificate,
            authorities,
        }) => Ok((certificate, authorities)),
        Some(ServerResult::Refused { reason }) => Err(RenewalError::Refused(reason)),
        Some(ServerResult::Unavailable) => Err(RenewalError::Unavailable),
        None => Err(RenewalError::Older),
    }
}
