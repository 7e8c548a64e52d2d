//! The trace that the work of a task belongs to, so that no operation has to hand it on.

use std::future::Future;

use super::trace_parent::TraceParent;

tokio::task_local! {
    static CURRENT: Option<TraceParent>;
}

/// Runs `work` as part of this trace.
pub async fn within<T>(parent: Option<TraceParent>, work: impl Future<Output = T>) -> T {
    CURRENT.scope(parent, work).await
}

/// The trace that this work is part of. Other tasks do not have it: hand it to them.
#[must_use]
pub fn current() -> Option<TraceParent> {
    CURRENT.try_with(|parent| *parent).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_knows_its_trace_and_other_work_does_not() {
        let parent = TraceParent::of(Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        assert!(parent.is_some());
        assert_eq!(within(parent, async { current() }).await, parent);
        assert_eq!(current(), None);
    }
}
