//! The way of a batch of orders: keys, certificates, profiles, files.

use std::{path::PathBuf, time::Duration};

use async_nats::Client;
use futures_util::future::join_all;
use tracing::{debug, warn};
use vpnmanager_nats::{
    envelope::Envelope,
    ids::{CommonName, NodeId},
    sign::{CertificateRequest, MAX_REQUESTS, SignAnswer, SignRequest, SignResult},
    subjects,
};
use vpnmanager_profile::profile::Profile;
use vpnmanager_runtime::error_chain::chain;

use super::{
    finish::finish,
    result::{IssueError, IssueResult},
    work::{Item, State, Work},
};
use crate::{
    apply::{commit::IssueOrder, keys::make_keys, projection::remove_profiles, render::Pki},
    blocking::beside,
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
        let mut keyed = keyed.into_iter();
        let mut work: Vec<Work> = orders
            .into_iter()
            .map(|order| {
                let states = order.missing.common_names.iter().cloned().zip(keyed.by_ref());
                let items = states.map(|(common_name, state)| Item { common_name, state }).collect();
                Work { order, items }
            })
            .collect();
        self.sign(&mut work).await;
        let work = self.render(work).await;
        match self.commit(work).await {
            Ok(results) => results,
            Err(error) => (0..count).map(|_| IssueResult::Later(error.again())).collect(),
        }
    }

    /// Finds the key of each profile or makes one; the journal holds it when this returns. In the order of the orders and their profiles.
    async fn keyed(&self, orders: &[IssueOrder]) -> Result<Vec<State>, IssueError> {
        let names = orders.iter().flat_map(|order| &order.missing.common_names);
        let names: Vec<CommonName> = names.cloned().collect();
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
        let mut waiting: Vec<(&mut Item, CertificateRequest)> = Vec::new();
        for item in work.iter_mut().flat_map(|work| &mut work.items) {
            if let State::Keyed(key) = &item.state {
                let request = CertificateRequest {
                    common_name: item.common_name.clone(),
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
                item.state = before.certified(&item.common_name, result);
            }
        }
    }

    async fn ask(&self, requests: Vec<CertificateRequest>) -> Result<Vec<SignResult>, IssueError> {
        debug!(requests = requests.len(), "Asking for certificates");
        let question = Envelope::new(SignRequest {
            node: self.node.clone(),
            requests,
            server: None,
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
        let rendered = beside(move || {
            work.into_iter()
                .map(|Work { order, items }| {
                    let items = items
                        .into_iter()
                        .map(|item| item.rendered(&pki, &order.missing.remotes));
                    Work {
                        items: items.collect(),
                        order,
                    }
                })
                .collect::<Vec<Work>>()
        });
        // Where the process stops nothing is answered, and everything comes again.
        rendered.await.unwrap_or_default()
    }

    /// Journals what was made, then writes the files.
    async fn commit(&self, work: Vec<Work>) -> Result<Vec<IssueResult>, IssueError> {
        let profiles = self.profiles.clone();
        let committed = self.journal.write(move |records| {
            let mut files = Vec::new();
            let results = work
                .into_iter()
                .map(|work| finish(records, &profiles, work, &mut files))
                .collect::<Result<Vec<_>, _>>()?;
            Ok((results, files))
        });
        let (results, files) = committed.await.map_err(journal)?;
        self.write_files(files).await;
        Ok(results)
    }

    /// The journal holds the profiles: a file that cannot be written is made at the next start. A credential may have been revoked since the
    /// commit, and its file removed before it was there.
    async fn write_files(&self, files: Vec<(CommonName, secrecy::SecretString)>) {
        let names: Vec<CommonName> = files.iter().map(|(name, _)| name.clone()).collect();
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
        let revoked = self.journal.read(move |records| {
            let mut revoked = Vec::new();
            for name in names {
                if records.key(&name)?.is_none() {
                    revoked.push(name);
                }
            }
            Ok(revoked)
        });
        // A journal that cannot be read stops the agent's work; the next start makes the folder as the journal is.
        if let Ok(revoked) = revoked.await {
            remove_profiles(&self.profiles, &revoked);
        }
    }
}

fn journal(error: JournalError) -> IssueError {
    IssueError::Journal(error.into())
}
