//! An answer that all who ask at about the same time share.

use std::convert::Infallible;
use std::future::Future;
use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

/// How long an answer is shared.
pub const REMEMBERED_FOR: Duration = Duration::from_millis(250);

/// The last answer to a question that anybody may ask, so that nobody keeps the service busy with it: it is asked once at a time, and
/// its answer is used for [`REMEMBERED_FOR`].
#[derive(Debug)]
pub struct Remembered<T> {
    last: Mutex<Option<(T, Instant)>>,
}

impl<T: Clone> Remembered<T> {
    /// The last answer if it is recent, else what `ask` gives.
    pub async fn get(&self, ask: impl Future<Output = T>) -> T {
        let Ok(answer) = self.try_get::<Infallible>(async { Ok(ask.await) }).await;
        answer
    }

    /// The same for a question that may fail; a failure is not remembered.
    pub async fn try_get<E>(&self, ask: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut last = self.last.lock().await;
        if let Some((answer, at)) = &*last
            && at.elapsed() < REMEMBERED_FOR
        {
            return Ok(answer.clone());
        }
        let answer = ask.await?;
        *last = Some((answer.clone(), Instant::now()));
        Ok(answer)
    }
}

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self { last: Mutex::new(None) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_crowd_asks_once() {
        let (asked, remembered) = (AtomicUsize::new(0), Remembered::default());
        let ask = || async {
            tokio::task::yield_now().await;
            asked.fetch_add(1, Ordering::Relaxed)
        };
        let answers = join_all((0..100).map(|_| remembered.get(ask()))).await;
        assert_eq!(answers, [0; 100]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_expires_and_a_failure_is_asked_about_again() {
        let remembered = Remembered::default();
        assert_eq!(remembered.try_get(async { Err("away") }).await, Err("away"));
        assert_eq!(remembered.try_get(async { Ok::<_, &str>(1) }).await, Ok(1));
        assert_eq!(remembered.get(async { 2 }).await, 1, "recent");
        tokio::time::advance(REMEMBERED_FOR).await;
        assert_eq!(remembered.get(async { 3 }).await, 3);
    }
}
