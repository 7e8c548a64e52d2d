//! Runs the chain of the floor, many at the same time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use async_nats::jetstream::{self, consumer::pull};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::{sync::oneshot, task::JoinSet};
use vpnmanager_testbed::stack::Stack;

use super::{
    bus::{self, BusFloor},
    issue::IssueFloor,
    rows::Rows,
};
use crate::bench::{load::Latencies, options::Bench};

/// The most messages that are processed at the same time.
const CONCURRENT: usize = 64;

/// A step of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::bench) enum Span {
    CommitCreate,
    Publish,
    Deliver,
    Issue,
    Ack,
    CommitAck,
}

impl Span {
    pub(in crate::bench) const ALL: [Self; 6] = [
        Self::CommitCreate,
        Self::Publish,
        Self::Deliver,
        Self::Issue,
        Self::Ack,
        Self::CommitAck,
    ];

    pub(in crate::bench) fn describe(self) -> &'static str {
        match self {
            Self::CommitCreate => "one PostgreSQL commit",
            Self::Publish => "one JetStream publish, acked",
            Self::Deliver => "delivery to a bare pull consumer",
            Self::Issue => "key, request, signature, files",
            Self::Ack => "the consumer's ack",
            Self::CommitAck => "one PostgreSQL commit",
        }
    }
}

/// The chain. Cheap to clone.
#[derive(Debug, Clone)]
pub(in crate::bench) struct Floor(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rows: Rows,
    bus: BusFloor,
    issue: Arc<IssueFloor>,
    waiting: Mutex<HashMap<i64, oneshot::Sender<Consumed>>>,
    spans: Mutex<Vec<Latencies>>,
    next: AtomicI64,
    failure: Mutex<Option<String>>,
}

/// The times of the consumer's steps.
#[derive(Debug)]
struct Consumed {
    received: Instant,
    issued: Instant,
}

impl Floor {
    /// Prepares the chain; the consumer runs in `tasks` as long as they do.
    pub(in crate::bench) async fn prepare(
        stack: &Stack,
        bench: &Bench,
        tasks: &mut JoinSet<()>,
    ) -> anyhow::Result<Self> {
        let rows = Rows::prepare(stack, bench.clients)
            .await
            .context("cannot prepare the floor of PostgreSQL")?;
        let (bus, messages) = BusFloor::prepare(stack)
            .await
            .context("cannot prepare the floor of the bus")?;
        let issue = IssueFloor::prepare(&stack.state().dir.join("floor"), bench.nodes)?;
        let floor = Self(Arc::new(Inner {
            rows,
            bus,
            issue: Arc::new(issue),
            waiting: Mutex::default(),
            spans: Mutex::new(vec![Latencies::default(); Span::ALL.len()]),
            next: AtomicI64::new(1),
            failure: Mutex::default(),
        }));
        tasks.spawn(floor.clone().consume(messages));
        Ok(floor)
    }

    /// Returns the durations of the steps so far, and starts counting again.
    pub(in crate::bench) fn take_spans(&self) -> Vec<Latencies> {
        let mut spans = self.0.spans.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *spans, vec![Latencies::default(); Span::ALL.len()])
    }

    /// Users per second if only keys, requests, signatures and files are made, on all cores.
    pub(in crate::bench) async fn issue_alone(&self, length: Duration) -> anyhow::Result<f64> {
        let issue = Arc::clone(&self.0.issue);
        tokio::task::spawn_blocking(move || issue.alone(length)).await?
    }

    /// Runs one chain; false if it failed.
    pub(in crate::bench) async fn run(&self) -> bool {
        let Err(error) = self.chain().await else { return true };
        self.0
            .failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(format!("{error:#}"));
        false
    }

    /// Fails if a chain did not end well.
    pub(in crate::bench) fn sound(&self) -> anyhow::Result<()> {
        match &*self.0.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => bail!("the floor's chain failed: {failure}"),
            None => Ok(()),
        }
    }

    async fn chain(&self) -> anyhow::Result<()> {
        let inner = &self.0;
        let number = inner.next.fetch_add(1, Ordering::Relaxed);
        let (sender, consumed) = oneshot::channel();
        inner
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, sender);

        let began = Instant::now();
        inner.rows.create(number).await?;
        let committed = Instant::now();
        inner.bus.publish(number).await?;
        let published = Instant::now();
        let Consumed { received, issued } = consumed.await.context("the consumer has ended")?;
        let acked = Instant::now();
        inner.rows.ack(number).await?;
        let ended = Instant::now();

        let mut spans = inner.spans.lock().unwrap_or_else(PoisonError::into_inner);
        // The message may be delivered before its publisher gets the ack.
        let times = [
            committed - began,
            published - committed,
            received.saturating_duration_since(published),
            issued - received,
            acked.saturating_duration_since(issued),
            ended - acked,
        ];
        spans.iter_mut().zip(times).for_each(|(span, took)| span.record(took));
        Ok(())
    }

    async fn consume(self, messages: pull::Stream) {
        messages
            .for_each_concurrent(CONCURRENT, |message| async {
                // For a message that failed the channel is dropped, which ends the wait.
                if let Ok(message) = message
                    && let Some(number) = bus::number(&message)
                {
                    let waiting = self
                        .0
                        .waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .remove(&number);
                    if let (Some(sender), Ok(consumed)) = (waiting, self.work(number, &message).await) {
                        let _gone = sender.send(consumed);
                    }
                }
            })
            .await;
    }

    async fn work(&self, number: i64, message: &jetstream::Message) -> anyhow::Result<Consumed> {
        let received = Instant::now();
        let issue = Arc::clone(&self.0.issue);
        tokio::task::spawn_blocking(move || issue.make(number)).await??;
        let issued = Instant::now();
        message.ack().await.map_err(|error| anyhow::anyhow!(error))?;
        Ok(Consumed { received, issued })
    }
}
