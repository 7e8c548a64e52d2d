//! Publishes placements whose wanted revision is not in the stream.

use std::time::{Duration, Instant};

use anyhow::Context;
use tracing::warn;
use vpnmanager_nats::publish::{self, Publication, Published};
use vpnmanager_runtime::{
    error_chain::chain,
    reconcile::{Next, Reconciler},
    traces::{Kind, Span},
};

use crate::{
    app::App,
    metrics::work::Batch,
    ops::publications::{
        claim::{self, BATCH, LOCKED_FOR},
        raise_revisions::{Seen, raise_revisions},
        record::{self, PublicationResult},
    },
};

/// A command that is not applied this long after it was published is published again: the stream may have lost it.
const OVERDUE_AFTER: Duration = Duration::from_secs(60);
/// How often to look for such commands.
const LOOK_FOR_OVERDUE: Duration = Duration::from_secs(10);

pub(super) struct Publisher {
    app: App,
    looked_for_overdue: Instant,
}

impl Publisher {
    pub(super) fn new(app: App) -> Self {
        Self {
            app,
            looked_for_overdue: Instant::now(),
        }
    }
}

impl Publisher {
    /// Puts each command into the trace of the request that caused it.
    fn trace(&self, publications: &mut [Publication]) -> Vec<Span> {
        let caused = publications.iter_mut().filter_map(|publication| {
            let command = &mut publication.command;
            let cause = self.app.user_traces.of(command.body.user_key())?;
            let mut span = Span::begin("publish command", Kind::Producer, Some(cause));
            span.note("vpn.node", command.body.node().as_str());
            command.traceparent = span.traceparent().map(|parent| parent.to_string());
            Some(span)
        });
        caused.collect()
    }

    /// What was locked is looked at again soon.
    async fn rest(&self) -> anyhow::Result<Next> {
        let left = claim::is_any_due(&self.app.leases).await;
        let left = left.context("looking for placements that were left failed")?;
        Ok(if left { Next::After(LOCKED_FOR) } else { Next::Idle })
    }
}

impl Reconciler for Publisher {
    async fn reconcile(&mut self) -> anyhow::Result<Next> {
        let leases = &self.app.leases;
        if self.looked_for_overdue.elapsed() > LOOK_FOR_OVERDUE {
            record::republish_overdue(leases, OVERDUE_AFTER)
                .await
                .context("finding overdue placements failed")?;
            self.looked_for_overdue = Instant::now();
        }
        let claims = claim::claim(leases).await.context("claiming placements failed")?;
        if claims.is_empty() {
            return self.rest().await;
        }
        let mut publications: Vec<Publication> = claims.iter().map(|claim| claim.publication.clone()).collect();
        let spans = self.trace(&mut publications);
        let published = publish::publish_all(&self.app.topology, &publications).await;
        drop(spans);
        let overtaken: Vec<Seen> = published
            .iter()
            .zip(&publications)
            .filter_map(|(published, publication)| match published {
                Ok(Published::Overtaken { revision, .. }) => Some(Seen {
                    user: publication.command.body.user_key(),
                    holds: *revision,
                }),
                Ok(Published::Stored { .. }) | Err(_) => None,
            })
            .collect();
        let mut failures = 0;
        let mut last_error = None;
        let results: Vec<PublicationResult> = published
            .into_iter()
            .zip(&publications)
            .map(|(published, publication)| match published {
                Ok(Published::Stored { sequence }) => PublicationResult::InStream {
                    revision: publication.command.body.revision(),
                    sequence,
                },
                Ok(Published::Overtaken { sequence, revision }) => PublicationResult::InStream { revision, sequence },
                Err(error) => {
                    failures += 1;
                    last_error = Some(error);
                    PublicationResult::Failed
                }
            })
            .collect();
        if let Some(error) = last_error {
            self.app.storage_probe.wake();
            warn!(failures, error = %chain(&error), "Publishing commands failed, trying again");
        }
        let work = &self.app.figures.work;
        work.batch(Batch::Publications, claims.len());
        work.published(claims.len() - failures, failures);
        record::record_publications(leases, &claims, &results)
            .await
            .context("recording publications failed")?;
        raise_revisions(&self.app.db, &overtaken, &self.app.config.server_id)
            .await
            .context("raising revisions failed")?;
        let is_full = u64::try_from(claims.len()).unwrap_or(BATCH) >= BATCH;
        if is_full { Ok(Next::Again) } else { self.rest().await }
    }
}
