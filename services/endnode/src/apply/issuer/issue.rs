//! The way of a batch of orders: keys, certificates, profiles, files.

use std::{path::PathBuf, time::Duration};

use async_nats::Client;
use futures_util::future::join_all;
use tracing::{debug, warn};
use vpnmanager_nats::{
    acks::Outcome,
    envelope::Envelope,
    ids::{CommonName, NodeId},
    sign::{CertificateRequest, MAX_REQUESTS, SignAnswer, SignRefusal, SignRequest, SignResult},
    subjects,
};
use vpnmanager_profile::profile::Profile;
use vpnmanager_runtime::error_chain::chain;

use super::{
    result::{IssueError, IssueResult},
    work::{State, Work},
};
use crate::{
    apply::{
        commit::{IssueOrder, LOST, issued},
        keys::make_keys,
        render::Pki,
    },
    journal::{Journal, JournalError},
    profile_file::store,
};

/// Signing is one commit of PostgreSQL; what takes longer is an outage.
const SIGN_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes profiles. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// This node.
    pub node: NodeId,
    /// Where keys and profiles are kept.
    pub journal: Journal,
    /// What all profiles share.
    pub pki: Pki,
    /// The folder of `.ovpn` files.
    pub profiles: PathBuf,
    /// The way to management.
    pub bus: Client,
}

impl Issuer {
    /// Makes these profiles. One result for each order, in order.
    pub async fn issue(&self, orders: Vec<IssueOrder>) -> Vec<IssueResult> {
        let count = orders.len();
        let keyed = match self.keyed(&orders).await {
            Ok(keyed) => keyed,
            Err(error) => return (0..count).map(|_| IssueResult::Later(error.again())).collect(),
        };
        let mut work: Vec<Work> = orders
            .into_iter()
            .zip(keyed)
            .map(|(order, state)| Work { order, state })
            .collect();
        self.sign(&mut work).await;
        let work = self.render(work).await;
        match self.commit(work).await {
            Ok(results) => results,
            Err(error) => (0..count).map(|_| IssueResult::Later(error.again())).collect(),
        }
    }

    /// Finds each order's key or makes one; the journal holds it when this returns.
    async fn keyed(&self, orders: &[IssueOrder]) -> Result<Vec<State>, IssueError> {
        let names: Vec<CommonName> = orders.iter().map(|order| order.issue.common_name.clone()).collect();
        let wanted = names.clone();
        let present = self.journal.read(move |records| {
            wanted
                .iter()
                .map(|name| records.key(name))
                .collect::<Result<Vec<_>, _>>()
        });
        let present = present.await.map_err(journal)?;
        let missing = names
            .iter()
            .zip(&present)
            .filter(|(_, key)| key.is_none())
            .map(|(name, _)| name.clone());
        let made = make_keys(missing.collect()).await?;
        let keys = if made.is_empty() {
            present
        } else {
            let stored = self.journal.write(move |records| {
                for (name, key) in &made {
                    records.store_key(name, key)?;
                }
                names
                    .iter()
                    .map(|name| records.key(name))
                    .collect::<Result<Vec<_>, _>>()
            });
            stored.await.map_err(journal)?
        };
        Ok(keys.into_iter().map(State::of_key).collect())
    }

    async fn sign(&self, work: &mut [Work]) {
        let mut waiting: Vec<(&mut Work, CertificateRequest)> = Vec::new();
        for item in work.iter_mut() {
            if let State::Keyed(key) = &item.state {
                let common_name = item.order.issue.common_name.clone();
                let request = CertificateRequest {
                    common_name,
                    csr: key.csr.clone(),
                };
                waiting.push((item, request));
            }
        }
        let answers = waiting
            .chunks(MAX_REQUESTS)
            .map(|chunk| self.ask(chunk.iter().map(|(_, request)| request.clone()).collect()));
        let answers = join_all(answers).await;
        for (chunk, answer) in waiting.chunks_mut(MAX_REQUESTS).zip(answers) {
            for (index, (item, _)) in chunk.iter_mut().enumerate() {
                let result = match &answer {
                    Ok(results) => results.get(index).cloned().ok_or(IssueError::Unavailable),
                    Err(error) => Err(error.again()),
                };
                let before = std::mem::replace(&mut item.state, State::Gone);
                item.state = before.certified(&item.order.issue.common_name, result);
            }
        }
    }

    async fn ask(&self, requests: Vec<CertificateRequest>) -> Result<Vec<SignResult>, IssueError> {
        debug!(requests = requests.len(), "Asking for certificates");
        let question = Envelope::new(SignRequest {
            node: self.node.clone(),
            requests,
        });
        let request = async_nats::Request::new()
            .payload(question.encode())
            .timeout(Some(SIGN_TIMEOUT));
        let reply = self.bus.send_request(subjects::sign(&self.node), request).await;
        let reply = reply.map_err(|error| IssueError::Request(error.into()))?;
        let answer = Envelope::<SignAnswer>::decode(&reply.payload);
        Ok(answer.map_err(|error| IssueError::Answer(error.into()))?.body.results)
    }

    /// Renders off the runtime's threads: base64 and hashes of many profiles.
    async fn render(&self, work: Vec<Work>) -> Vec<Work> {
        let pki = self.pki.clone();
        let rendered = tokio::task::spawn_blocking(move || {
            work.into_iter()
                .map(|Work { order, state }| Work {
                    state: state.rendered(&pki, &order),
                    order,
                })
                .collect()
        });
        match rendered.await {
            Ok(work) => work,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process is stopping: nothing is answered, everything comes again.
                Err(_cancelled) => Vec::new(),
            },
        }
    }

    /// Journals what was made, then writes the files.
    async fn commit(&self, work: Vec<Work>) -> Result<Vec<IssueResult>, IssueError> {
        let profiles = self.profiles.clone();
        let committed = self.journal.write(move |records| {
            let mut results = Vec::with_capacity(work.len());
            let mut files = Vec::new();
            for Work { order, state } in work {
                let outcome = match state {
                    State::Rendered(profile) => {
                        let outcome = Outcome::Applied {
                            issued: Some(issued(&profile.common_name, &profiles, &profile.checksum)),
                            note: None,
                        };
                        if records.store_profile(&profile)? {
                            files.push((profile.common_name, profile.text));
                        }
                        outcome
                    }
                    State::Lost(SignRefusal::InvalidCsr) => {
                        records.drop_key(&order.issue.common_name)?;
                        Outcome::Refused {
                            error: SignRefusal::InvalidCsr.to_string(),
                        }
                    }
                    State::Lost(refusal) => {
                        records.lose_credential(&order.issue.common_name)?;
                        Outcome::Applied {
                            issued: None,
                            note: Some(format!("{refusal}: {LOST}")),
                        }
                    }
                    State::Gone => Outcome::Applied {
                        issued: None,
                        note: None,
                    },
                    State::Later(error) => {
                        results.push(IssueResult::Later(error));
                        continue;
                    }
                    State::Keyed(_) | State::Certified(..) => {
                        results.push(IssueResult::Later(IssueError::Unavailable));
                        continue;
                    }
                };
                let newer = records.finish_command(order.user_key, order.revision, &outcome)?;
                results.push(IssueResult::Answered(match newer {
                    Some(holds) => Outcome::Superseded { holds },
                    None => outcome,
                }));
            }
            Ok((results, files))
        });
        let (results, files) = committed.await.map_err(journal)?;
        self.write_files(files).await;
        Ok(results)
    }

    /// The journal holds the profiles: a file that cannot be written is made at the next start.
    async fn write_files(&self, files: Vec<(CommonName, secrecy::SecretString)>) {
        let dir = self.profiles.clone();
        let written = tokio::task::spawn_blocking(move || {
            for (name, text) in files {
                if let Err(error) = store(&Profile::from(text), &dir, &name) {
                    warn!(credential.common_name = %name, error = %chain(&error), "A profile's file could not be written");
                }
            }
        });
        // A cancelled write is made up for at the next start.
        let _stopping = written.await;
    }
}

fn journal(error: JournalError) -> IssueError {
    IssueError::Journal(error.into())
}
