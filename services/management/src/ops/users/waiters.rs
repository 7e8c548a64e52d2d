//! Waits until every node has applied a change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter};
use tokio::{sync::watch, time::Instant};
use vpnmanager_entities::user;
use vpnmanager_nats::ids::UserKey;

use crate::ops::users::read::{self, UserView};

/// When to read the database first: the last ack may have been recorded before the wait began.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// How often to read the database again: another replica may have recorded the last ack.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The requests that wait for users. News only shortens a wait; the rows in the database decide.
#[derive(Debug, Clone, Default)]
pub struct Waiters {
    by_user: Arc<Mutex<HashMap<UserKey, watch::Sender<News>>>>,
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

impl Waiters {
    /// The users among these that a request waits for.
    pub fn waited_for(&self, users: &[UserKey]) -> Vec<UserKey> {
        let by_user = self.by_user();
        users
            .iter()
            .filter(|user| by_user.contains_key(user))
            .copied()
            .collect()
    }

    /// Sends the state of these users to the requests that wait for them. Reads the database once for all.
    ///
    /// # Errors
    /// May be ignored: the waiting requests then read the database themselves.
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
        let by_user = self.by_user();
        for user in waited_for {
            let news = views
                .remove(&user)
                .map_or(News::Gone, |view| News::State(Box::new(view)));
            if let Some(waiters) = by_user.get(&user) {
                waiters.send_replace(news);
            }
        }
        Ok(())
    }

    /// Waits until the user is synced, at most `timeout`, and returns its state at that moment; `None` if its removal is complete.
    pub async fn until_settled(
        &self,
        db: &DatabaseConnection,
        view: UserView,
        timeout: Duration,
    ) -> Result<Option<UserView>, DbErr> {
        let deadline = Instant::now() + timeout;
        let mut waiting = self.enter(view.user.key);
        let mut pause = FIRST_LOOK;
        loop {
            let until = deadline.min(Instant::now() + pause);
            pause = LOOK_AGAIN;
            let told = tokio::time::timeout_at(until, waiting.news.changed()).await;
            let state = match told {
                Ok(Ok(())) => waiting.news.borrow_and_update().clone(),
                // No news in time: read the database.
                Ok(Err(_)) | Err(_) => look(db, view.user.id).await?,
            };
            match state {
                News::Gone => return Ok(None),
                News::State(view) if view.user.synced || Instant::now() >= deadline => return Ok(Some(*view)),
                News::State(_) | News::None => {}
            }
        }
    }

    fn enter(&self, user: UserKey) -> Waiting {
        let news = self.by_user().entry(user).or_default().subscribe();
        Waiting {
            waiters: self.clone(),
            user,
            news,
        }
    }

    fn by_user(&self) -> MutexGuard<'_, HashMap<UserKey, watch::Sender<News>>> {
        self.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One waiting request; dropping it ends the wait.
struct Waiting {
    waiters: Waiters,
    user: UserKey,
    news: watch::Receiver<News>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut by_user = self.waiters.by_user();
        // This receiver is still counted.
        if by_user
            .get(&self.user)
            .is_some_and(|waiters| waiters.receiver_count() <= 1)
        {
            by_user.remove(&self.user);
        }
    }
}

async fn look(db: &DatabaseConnection, id: i64) -> Result<News, DbErr> {
    match user::Entity::find_by_id(id).one(db).await? {
        Some(user) => Ok(News::State(Box::new(read::view(db, user).await?))),
        None => Ok(News::Gone),
    }
}
