//! Waiting until every node has applied a change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sea_orm::{DbErr, EntityTrait};
use tokio::{sync::Notify, time::Instant};
use vpnmanager_entities::user;
use vpnmanager_nats::ids::UserKey;

use super::read_users::{self, UserView};
use crate::app::App;

/// Another replica may have recorded the last ack: look again this often.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Who waits for which user. Wake-ups only shorten a wait, the rows decide.
#[derive(Debug, Clone, Default)]
pub struct Waiters {
    by_user: Arc<Mutex<HashMap<UserKey, Arc<Notify>>>>,
}

impl Waiters {
    /// Wakes whoever waits for one of these users.
    pub fn wake(&self, users: impl IntoIterator<Item = UserKey>) {
        let by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        if by_user.is_empty() {
            return;
        }
        for user in users {
            if let Some(notify) = by_user.get(&user) {
                notify.notify_waiters();
            }
        }
    }

    fn enter(&self, user: UserKey) -> Arc<Notify> {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(by_user.entry(user).or_default())
    }

    fn leave(&self, user: UserKey, notify: &Arc<Notify>) {
        let mut by_user = self.by_user.lock().unwrap_or_else(PoisonError::into_inner);
        // The map, this one: nobody else waits.
        if Arc::strong_count(notify) <= 2 {
            by_user.remove(&user);
        }
    }
}

/// Waits until the user is synced, at most `timeout`, and gives its state at that moment; `None` when it is removed everywhere.
///
/// # Errors
/// When the database does not answer.
pub async fn wait_until_settled(app: &App, view: UserView, timeout: Duration) -> Result<Option<UserView>, DbErr> {
    let deadline = Instant::now() + timeout;
    let key = UserKey(view.user.key);
    let notify = app.waiters.enter(key);
    let result = wait(app, view.user.id, &notify, deadline).await;
    app.waiters.leave(key, &notify);
    result
}

async fn wait(app: &App, id: i64, notify: &Notify, deadline: Instant) -> Result<Option<UserView>, DbErr> {
    loop {
        let woken = notify.notified();
        tokio::pin!(woken);
        // From here on a wake-up is not missed, also while the rows are read.
        woken.as_mut().enable();
        let Some(user) = user::Entity::find_by_id(id).one(&app.db).await? else {
            return Ok(None);
        };
        if user.synced || Instant::now() >= deadline {
            return read_users::with_placements(&app.db, vec![user])
                .await
                .map(|views| views.into_iter().next());
        }
        let until = deadline.min(Instant::now() + LOOK_AGAIN);
        // An elapsed wait is no failure: the loop looks again.
        let _ = tokio::time::timeout_at(until, woken).await;
    }
}
