//! Waiting until every node has applied a change.

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

/// The news may have come before anybody waited for it: look after this, too.
const FIRST_LOOK: Duration = Duration::from_millis(50);
/// Another replica may have recorded the last ack: look again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Who waits for which user. The news only shorten a wait, the rows decide.
#[derive(Debug, Clone, Default)]
pub struct Waiters {
    by_user: Arc<Mutex<HashMap<UserKey, watch::Sender<News>>>>,
}

/// What is known of a user for whom somebody waits.
#[derive(Debug, Clone, Default)]
enum News {
    /// Nothing new.
    #[default]
    None,
    /// Some node has applied something.
    State(Box<UserView>),
    /// Every node has forgotten the user.
    Gone,
}

impl Waiters {
    /// Those of these users for whom somebody waits.
    pub fn waited_for(&self, users: &[UserKey]) -> Vec<UserKey> {
        let by_user = self.by_user();
        users
            .iter()
            .filter(|user| by_user.contains_key(user))
            .copied()
            .collect()
    }

    /// Tells whoever waits for these users how they are: read once for all of them.
    ///
    /// # Errors
    /// When the database does not answer; the waiters look for themselves then.
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

    /// Waits until the user is synced, at most `timeout`, and gives its state at that moment; `None` when it is removed everywhere.
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
                // Nobody said anything in time: see for oneself.
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

/// One who waits; leaves when dropped.
struct Waiting {
    waiters: Waiters,
    user: UserKey,
    news: watch::Receiver<News>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut by_user = self.waiters.by_user();
        // This one is still counted.
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
