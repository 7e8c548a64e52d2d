//! Waits until every node has applied a change.
//!
//! Who waits is told when this replica records an ack. Another replica may record it: so one task looks at the rows of all whom somebody
//! waits for, with one query, each 200 ms. No request reads the database again and again by itself.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QuerySelect};
use tokio::{sync::watch, time::Instant};
use tracing::warn;
use vpnmanager_entities::user;
use vpnmanager_nats::ids::UserKey;
use vpnmanager_runtime::{
    backoff::Backoff,
    batch::{BatchLimits, Batcher},
    error_chain::chain,
    log_limit::LogLimit,
    reconcile::{Next, Schedule, Wake},
    tasks::Tasks,
};

use crate::config::CallersConfig;
use crate::ops::users::read::{self, UserView};

/// When to read the database first: the last ack may have been recorded before the wait began.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// How often to look at all rows that somebody waits for: another replica may have recorded the last ack.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// How often to see whether somebody waits; entering a wait wakes the task.
const IDLE: Duration = Duration::from_secs(60);

static TOO_MANY: LogLimit = LogLimit::new("a request with ?wait= was answered at once");

/// The requests that wait for users. News only shortens a wait; the rows in the database decide. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Waiters {
    book: Arc<Mutex<Book>>,
    limits: CallersConfig,
    looks: Batcher<i64, Look>,
    entered: Wake,
}

#[derive(Debug, Default)]
struct Book {
    by_user: HashMap<UserKey, watch::Sender<News>>,
    by_caller: HashMap<String, u32>,
    waiting: u32,
}

/// The news of a user that a request waits for.
#[derive(Debug, Clone, Default)]
enum News {
    /// No node has acked since the wait began.
    #[default]
    None,
    /// A node has acked; this is the user's state since.
    State(Box<UserView>),
    /// No node holds the user any more, and its row is deleted.
    Gone,
}

/// The user's state; `None` if its row is deleted.
type Look = Result<Option<UserView>, Arc<DbErr>>;

impl Waiters {
    /// Starts the task that looks at the rows, and the worker that reads users for requests whose time is over.
    pub fn start(tasks: &Tasks, db: &DatabaseConnection, limits: CallersConfig) -> Self {
        let of_looks = db.clone();
        let looks = Batcher::start(tasks, "look-at-users", BatchLimits::default(), move |ids| {
            let db = of_looks.clone();
            async move { look(&db, ids).await }
        });
        let waiters = Self {
            book: Arc::default(),
            limits,
            looks,
            entered: Wake::new(),
        };
        let (sweeper, db) = (waiters.clone(), db.clone());
        let schedule = Schedule {
            period: IDLE,
            backoff: Backoff::new(LOOK_AGAIN, Duration::from_secs(1)),
        };
        tasks.reconcile("waiters", &waiters.entered, schedule, move || {
            let (waiters, db) = (sweeper.clone(), db.clone());
            async move { waiters.look_at_all(&db).await }
        });
        waiters
    }

    /// A place to wait in, for this caller; `None` when it, or all callers together, wait as often as is allowed. The request is then to
    /// be answered without waiting: what it changed is changed.
    #[must_use]
    pub fn place(&self, caller: &str) -> Option<Place> {
        let mut book = self.book();
        let of_caller = book.by_caller.get(caller).copied().unwrap_or(0);
        if book.waiting >= self.limits.max_waits.get() || of_caller >= self.limits.max_waits_per_key.get() {
            if let Some(times) = TOO_MANY.admit() {
                warn!(
                    caller,
                    times,
                    waiting = book.waiting,
                    "A request with ?wait= is answered at once: as many as are allowed are waiting"
                );
            }
            return None;
        }
        book.waiting += 1;
        book.by_caller.insert(caller.to_owned(), of_caller + 1);
        Some(Place {
            waiters: self.clone(),
            caller: caller.to_owned(),
        })
    }

    /// The users among these that a request waits for, each once: two nodes may ack one user in one batch.
    fn waited_for(&self, users: &[UserKey]) -> HashSet<UserKey> {
        let book = self.book();
        users
            .iter()
            .filter(|user| book.by_user.contains_key(user))
            .copied()
            .collect()
    }

    /// Sends the state of these users to the requests that wait for them. Reads the database once for all.
    ///
    /// # Errors
    /// May be ignored: the rows are looked at again.
    pub async fn tell(&self, db: &DatabaseConnection, users: &[UserKey]) -> Result<(), DbErr> {
        let waited_for = self.waited_for(users);
        if waited_for.is_empty() {
            return Ok(());
        }
        let found = user::Entity::find()
            .filter(user::Column::Key.eq_any(waited_for.iter().copied()))
            .all(db)
            .await?;
        let views = read::with_placements(db, found).await?;
        let mut views: HashMap<UserKey, UserView> = views.into_iter().map(|view| (view.user.key, view)).collect();
        let book = self.book();
        for user in waited_for {
            let news = views
                .remove(&user)
                .map_or(News::Gone, |view| News::State(Box::new(view)));
            if let Some(waiters) = book.by_user.get(&user) {
                waiters.send_replace(news);
            }
        }
        Ok(())
    }

    /// Waits until the user is synced, at most `timeout`, and returns its state at that moment; `None` if its removal is complete.
    ///
    /// # Errors
    /// When the database could not be read at the end of the time.
    pub async fn until_settled(&self, _place: &Place, view: UserView, timeout: Duration) -> Look {
        let deadline = Instant::now() + timeout;
        let mut waiting = self.enter(view.user.key, view.user.revision);
        for pause in [FIRST_LOOK, timeout] {
            let until = deadline.min(Instant::now() + pause);
            if let Ok(settled) = tokio::time::timeout_at(until, waiting.settled()).await {
                return Ok(settled);
            }
            let Ok(state) = self.looks.submit(view.user.id).await else {
                // The process stops.
                return Ok(Some(view));
            };
            match state {
                Ok(Some(state)) if !state.user.synced && Instant::now() < deadline => {}
                // The change is made: one read that failed must not turn it into an error.
                Err(_) if Instant::now() < deadline => {}
                settled_or_late => return settled_or_late,
            }
        }
        Ok(Some(view))
    }

    /// Tells those whose users are settled. One query finds them, whoever recorded the last ack.
    async fn look_at_all(&self, db: &DatabaseConnection) -> Result<Next, DbErr> {
        let all: Vec<UserKey> = {
            let mut book = self.book();
            book.by_user.retain(|_, waiters| waiters.receiver_count() > 0);
            book.by_user.keys().copied().collect()
        };
        if all.is_empty() {
            return Ok(Next::Idle);
        }
        let pending: Vec<UserKey> = user::Entity::find()
            .select_only()
            .column(user::Column::Key)
            .filter(user::Column::Key.eq_any(all.iter().copied()))
            .filter(user::Column::Synced.eq(false))
            .into_tuple()
            .all(db)
            .await?;
        let pending: HashSet<UserKey> = pending.into_iter().collect();
        let settled: Vec<UserKey> = all.into_iter().filter(|user| !pending.contains(user)).collect();
        self.tell(db, &settled).await?;
        Ok(Next::After(LOOK_AGAIN))
    }

    fn enter(&self, user: UserKey, revision: i64) -> Waiting {
        let (news, first) = {
            let mut book = self.book();
            let first = book.by_user.is_empty();
            (book.by_user.entry(user).or_default().subscribe(), first)
        };
        if first {
            self.entered.wake();
        }
        Waiting { revision, news }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to wait; dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    waiters: Waiters,
    caller: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut book = self.waiters.book();
        book.waiting -= 1;
        if let Some(of_caller) = book.by_caller.get_mut(&self.caller) {
            *of_caller -= 1;
            if *of_caller == 0 {
                book.by_caller.remove(&self.caller);
            }
        }
    }
}

/// One waiting request.
struct Waiting {
    /// What it waits for: news of an older revision, read before its own change, say nothing.
    revision: i64,
    news: watch::Receiver<News>,
}

impl Waiting {
    /// The user once it is synced; `None` once it is gone.
    async fn settled(&mut self) -> Option<UserView> {
        loop {
            if self.news.changed().await.is_err() {
                // The sender lives as long as this receiver is registered.
                std::future::pending::<()>().await;
            }
            match self.news.borrow_and_update().clone() {
                News::Gone => return None,
                News::State(view) if view.user.synced && view.user.revision >= self.revision => return Some(*view),
                News::State(_) | News::None => {}
            }
        }
    }
}

/// Reads these users, with one answer for each.
async fn look(db: &DatabaseConnection, ids: Vec<i64>) -> Vec<Look> {
    let read = async {
        let users = user::Entity::find()
            .filter(user::Column::Id.is_in(ids.iter().copied()))
            .all(db)
            .await?;
        read::with_placements(db, users).await
    };
    match read.await {
        Ok(views) => {
            let views: HashMap<i64, UserView> = views.into_iter().map(|view| (view.user.id, view)).collect();
            ids.iter().map(|id| Ok(views.get(id).cloned())).collect()
        }
        Err(error) => {
            warn!(error = %chain(&error), requests = ids.len(), "Reading users for waiting requests failed");
            let error = Arc::new(error);
            ids.iter().map(|_| Err(error.clone())).collect()
        }
    }
}
