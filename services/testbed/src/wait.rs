//! Waits for a condition with a deadline. Tests and stacks synchronise only in this way.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

/// How long a test waits for what must come. It ends what hangs and promises nothing: a machine that does much else may take its time.
pub const SOON: Duration = Duration::from_mins(1);

/// For what is promised within a second.
pub const PROMISED_SECOND: Duration = under_load(Duration::from_secs(1));

/// How long a test allows for what is promised within `promised`, on a machine that runs other tests at the same time. Tests print what they
/// measured; the fault runs and the benchmarks count what took longer than the promise.
pub const fn under_load(promised: Duration) -> Duration {
    promised.saturating_mul(3)
}

/// A condition did not come true in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} for {what} in vain{}", humantime::format_duration(*.waited), .last.as_ref().map(|last| format!("; last: {last}")).unwrap_or_default())]
pub struct TimedOut {
    /// What was waited for.
    pub what: String,
    /// How long the wait was.
    pub waited: Duration,
    /// The result of the last poll, if it has one.
    pub last: Option<String>,
}

/// Polls `condition` until it is true and returns how long that took.
pub async fn until<C, F>(deadline: Duration, what: impl Display, mut condition: C) -> Result<Duration, TimedOut>
where
    C: FnMut() -> F,
    F: Future<Output = bool>,
{
    let started = Instant::now();
    until_some(deadline, what, async || condition().await.then_some(())).await?;
    Ok(started.elapsed())
}

/// Polls `attempt` until it returns a value.
pub async fn until_some<T>(
    deadline: Duration,
    what: impl Display,
    mut attempt: impl AsyncFnMut() -> Option<T>,
) -> Result<T, TimedOut> {
    until_ok(deadline, what, async || attempt().await.ok_or("")).await
}

/// Polls `attempt` until it succeeds; the last error becomes part of the message.
pub async fn until_ok<T, E: Display>(
    deadline: Duration,
    what: impl Display,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, TimedOut> {
    let started = Instant::now();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if started.elapsed() >= deadline {
            let last = error.to_string();
            let last = (!last.is_empty()).then_some(last);
            return Err(TimedOut {
                what: what.to_string(),
                waited: deadline,
                last,
            });
        }
        tokio::time::sleep(pause(started.elapsed())).await;
    }
}

/// The pause until the next poll: short at first, so that fast conditions are measured well, and longer for slow ones.
fn pause(waited: Duration) -> Duration {
    (waited / 20).clamp(Duration::from_millis(5), Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_error_is_in_the_message() {
        let error = until_ok(Duration::from_millis(20), "the door", async || Err::<(), _>("locked"))
            .await
            .unwrap_err();
        assert_eq!(error.to_string(), "waited 20ms for the door in vain; last: locked");
    }

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() {
        let mut looks = 0;
        let waited = until(Duration::from_secs(5), "three looks", || {
            looks += 1;
            let enough = looks == 3;
            async move { enough }
        });
        assert!(waited.await.unwrap() < Duration::from_secs(5));
    }
}
