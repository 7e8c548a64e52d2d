//! Keeps a panic inside the handling of one message: what came from outside must not end a task, and with it the process.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use thiserror::Error;
use tracing::error;

use crate::log_limit::LogLimit;

/// How many panics this process has contained.
static CONTAINED: AtomicU64 = AtomicU64::new(0);

static LINES: LogLimit = LogLimit::lines("the handling of a message panicked", 5);

/// The handling of a message panicked.
#[derive(Debug, Error)]
#[error("{handling} panicked: {message}")]
pub struct Panicked {
    handling: &'static str,
    message: String,
}

/// Runs the handling of one message, or of a few. A panic is logged as an error, with the number of panics so far, and returned.
///
/// What the handling shared with others must stay usable after it was interrupted at any point: database transactions do, they are
/// rolled back.
pub async fn contain<T>(handling: &'static str, run: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(run).catch_unwind().await.map_err(|panic| {
        let message = message_of(panic.as_ref());
        let panics = CONTAINED.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(times) = LINES.admit() {
            error!(
                handling,
                panic = message,
                panics,
                times,
                "The handling of a message panicked"
            );
        }
        Panicked { handling, message }
    })
}

/// How many panics this process has contained.
#[must_use]
pub fn contained() -> u64 {
    CONTAINED.load(Ordering::Relaxed)
}

/// The text of a panic, if it has one.
pub(crate) fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_returned_and_what_comes_after_it_runs() {
        let odd = |number: u32| async move {
            assert!(number.is_multiple_of(2), "{number} is odd");
            number
        };
        assert_eq!(contain("halving", odd(2)).await.ok(), Some(2));
        let panicked = contain("halving", odd(3)).await.expect_err("three is odd");
        assert_eq!(panicked.to_string(), "halving panicked: 3 is odd");
        assert_eq!(contain("halving", odd(4)).await.ok(), Some(4));
    }
}
