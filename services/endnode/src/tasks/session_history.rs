//! Who was connected, when, and with how much traffic. OpenVPN tells of no end, so the agent looks, each second and at each login, and
//! compares. What it finds is journaled before it is reported, so that neither a dead agent nor a bus that is away loses a session.

mod metered;
mod moment;
mod observe;
mod pace;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use vpnmanager_nats::{groups::Groups, ids::CommonName, sessions::SessionRecord};
use vpnmanager_runtime::{backoff::jittered, error_chain::chain, log_limit::LogLimit, reconcile::Wake};

pub use self::moment::Moment;
use self::{
    metered::Metered,
    observe::{OpenSessions, key_of},
    pace::pause,
};
use crate::{
    backend::{Look, SessionKey, VpnBackend as _},
    coordination::contact::Contact,
    journal::{Journal, JournalError, NotedSession},
    openvpn::is_at_old_listener,
    shared::Shared,
    vpn::Vpn,
};

/// How often it is journaled how far the living sessions are: so much of their traffic is lost with the agent at most.
const KEEP: Duration = Duration::from_secs(30);
/// Before the journal is read again that could not be read.
const RETRY: Duration = Duration::from_secs(10);
/// The most sessions that wait in memory for a journal that cannot be written; the oldest go.
const MOST_UNWRITTEN: usize = 20_000;

static FORGOTTEN: LogLimit = LogLimit::new("sessions were forgotten");

/// Keeps the history until stopped.
pub async fn run(shared: Shared, stop: CancellationToken) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let Shared {
            journal, vpn, contact, ..
        } = shared.clone();
        match SessionHistory::load(journal, vpn, contact, shared.node.wakes.session_reports.clone()).await {
            Ok(history) => return history.metered_by(shared.definitions.watch()).run(stop).await,
            Err(error) => warn!(error = %chain(&error), "The sessions of before cannot be read, trying again"),
        }
        tokio::select! {
            () = sleep(jittered(RETRY)) => {}
            () = stop.cancelled() => {}
        }
    }
    Ok(())
}

/// The sessions of this node.
#[derive(Debug)]
pub struct SessionHistory {
    journal: Journal,
    vpn: Vpn,
    contact: Contact,
    /// Whoever publishes.
    reports: Wake,
    open: OpenSessions,
    metered: Metered,
    /// What the journal does not hold yet.
    unwritten: BTreeMap<SessionKey, SessionRecord>,
    /// When it was last journaled how far the living sessions are.
    kept: Instant,
    /// How long the last look took; nothing if the server did not answer.
    took: Duration,
    /// The last write failed, and that was logged.
    is_failing: bool,
}

impl SessionHistory {
    /// As the journal has it. `reports` is woken when there is something to report.
    pub async fn load(journal: Journal, vpn: Vpn, contact: Contact, reports: Wake) -> Result<Self, JournalError> {
        let open = journal.read(|records| records.open_sessions()).await?;
        Ok(Self {
            journal,
            vpn,
            contact,
            reports,
            open: OpenSessions::new(open, Instant::now()),
            metered: Metered::default(),
            unwritten: BTreeMap::new(),
            kept: Instant::now(),
            took: Duration::ZERO,
            is_failing: false,
        })
    }

    /// The same, and it tells within seconds what members of groups with a quota transfer. `told` is what management tells of all groups. Users with
    /// a quota of their own are told of so in any case.
    #[must_use]
    pub fn metered_by(self, told: watch::Receiver<Option<Arc<Groups>>>) -> Self {
        Self {
            metered: Metered::by(told),
            ..self
        }
    }

    /// Looks until stopped, and then journals how far the living sessions are. They go on without the agent.
    pub async fn run(mut self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut logins = self.vpn.logins();
        while !stop.is_cancelled() {
            self.look(Moment::now()).await;
            tokio::select! {
                () = pause(&mut logins, self.took) => {}
                () = stop.cancelled() => {}
            }
        }
        self.keep(Moment::now()).await;
        Ok(())
    }

    /// Looks who is connected at the moment `now`, and journals what changed. While a server cannot be asked, nobody has left there.
    pub async fn look(&mut self, now: Moment) {
        let began = Instant::now();
        self.took = match self.vpn.look().await {
            Ok(look) => {
                self.note(look, now);
                began.elapsed()
            }
            Err(error) => {
                // Its health says so elsewhere.
                debug!(error = %chain(&error), "Who is connected cannot be seen this time");
                Duration::ZERO
            }
        };
        if self.kept.elapsed() >= KEEP {
            self.keep(now).await;
        } else {
            let written = match self.write_news().await {
                Ok(()) => self.write_metered(now).await,
                Err(error) => Err(error),
            };
            self.log(written);
        }
    }

    /// Journals what changed, and how far the living sessions are.
    pub async fn keep(&mut self, now: Moment) {
        self.kept = Instant::now();
        let written = match self.write_news().await {
            Ok(()) => self.write_progress(now).await,
            Err(error) => Err(error),
        };
        self.log(written);
    }

    fn note(&mut self, look: Look, now: Moment) {
        for record in self.open.observe(look, now) {
            self.unwritten.insert(key_of(&record), record);
        }
        while self.unwritten.len() > MOST_UNWRITTEN {
            self.unwritten.pop_first();
            self.forgot(1, "the journal cannot be written");
        }
    }

    async fn write_news(&mut self) -> Result<(), JournalError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let news = self.unwritten.values().map(NotedSession::news);
        let news = news.collect::<Result<Vec<_>, _>>()?;
        self.write(news).await?;
        self.unwritten.clear();
        self.reports.wake();
        Ok(())
    }

    /// While management does not answer, only what begins and ends is reported: the rest would take the room of it in the stream.
    async fn write_progress(&mut self, now: Moment) -> Result<(), JournalError> {
        let is_heard = self.contact.unanswered_for().is_zero();
        let living = self.open.living(now.instant).map(|(record, is_due)| {
            if is_due && is_heard {
                NotedSession::news(record)
            } else {
                NotedSession::progress(record)
            }
        });
        let living = living.collect::<Result<Vec<_>, _>>()?;
        if living.is_empty() {
            return Ok(());
        }
        self.write(living).await?;
        if is_heard {
            self.open.told(now.instant);
            self.reports.wake();
        }
        Ok(())
    }

    /// While management does not answer, it counts nothing, and the room of the stream is for the rest.
    async fn write_metered(&mut self, now: Moment) -> Result<(), JournalError> {
        if !self.contact.unanswered_for().is_zero() {
            return Ok(());
        }
        let busy = self.open.busy(now.instant);
        if busy.is_empty() {
            return Ok(());
        }
        let is_old = |record: &SessionRecord| record.session.cid.is_some_and(is_at_old_listener);
        // An old certificate may have the name of a credential.
        let named = |old: bool| -> Vec<CommonName> {
            let records = busy.iter().filter(|record| is_old(record) == old);
            records.map(|record| record.session.common_name.clone()).collect()
        };
        let (names, old_names) = (named(false), named(true));
        let has_groups = self.metered.has_groups();
        let memberships = self.journal.read(move |records| {
            // Mostly nobody has a quota, and nobody is looked up.
            if has_groups || records.is_anybody_metered()? {
                Ok((records.memberships_of(&names)?, records.old_memberships_of(&old_names)?))
            } else {
                Ok((BTreeMap::new(), BTreeMap::new()))
            }
        });
        let (own, old) = memberships.await?;
        let (own, old) = (self.metered.counted(own), self.metered.counted(old));
        let counts = |record: &&SessionRecord| {
            let counted = if is_old(record) { &old } else { &own };
            counted.contains(&record.session.common_name)
        };
        let told: Vec<&SessionRecord> = busy.iter().filter(counts).collect();
        if told.is_empty() {
            return Ok(());
        }
        let news = told.iter().copied().map(NotedSession::news);
        self.write(news.collect::<Result<Vec<_>, _>>()?).await?;
        self.open.told_of(told.into_iter().map(key_of), now.instant);
        self.reports.wake();
        Ok(())
    }

    async fn write(&mut self, sessions: Vec<NotedSession>) -> Result<(), JournalError> {
        let written = self.journal.write(move |records| records.put_sessions(&sessions));
        let forgotten = written.await?;
        if forgotten > 0 {
            self.forgot(forgotten, "the bus does not take them");
        }
        Ok(())
    }

    fn forgot(&self, sessions: usize, why: &'static str) {
        if let Some(times) = FORGOTTEN.admit() {
            warn!(
                sessions,
                why, times, "Old sessions are forgotten before they could be reported"
            );
        }
    }

    /// What was not written is written at the next look.
    fn log(&mut self, written: Result<(), JournalError>) {
        match written {
            Ok(()) => self.is_failing = false,
            Err(error) if self.is_failing => debug!(error = %chain(&error), "Sessions could not be journaled again"),
            Err(error) => {
                warn!(error = %chain(&error), "Sessions could not be journaled, trying again");
                self.is_failing = true;
            }
        }
    }
}
