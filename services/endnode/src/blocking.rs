//! Work that blocks, beside the tasks of the agent.

use std::panic::resume_unwind;

use tokio::task::spawn_blocking;

/// Does it on a thread of its own. `None`: the process stops, and it was not begun. A panic goes on in whoever waits for it.
pub(crate) async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_cancelled) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_done_is_given_back() {
        assert_eq!(beside(|| 7).await, Some(7));
    }

    #[tokio::test]
    #[should_panic(expected = "it broke")]
    async fn a_panic_goes_on() {
        beside(|| panic!("it broke")).await.unwrap()
    }
}
