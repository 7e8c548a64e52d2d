//! One piece of work in a trace.

use super::export::Recording;
use super::kind::Kind;
use super::trace_parent::TraceParent;

/// A piece of work, from [`Span::begin`] until it is dropped.
#[derive(Debug)]
#[must_use = "the work ends when it is dropped"]
pub struct Span {
    /// What it follows from.
    parent: Option<TraceParent>,
    recording: Option<Recording>,
}

impl Span {
    /// Begins a piece of work, which may be the first of its trace. Without a collector this records nothing.
    pub fn begin(name: &str, kind: Kind, parent: Option<TraceParent>) -> Self {
        Self {
            parent,
            recording: Recording::begin(name, kind, parent),
        }
    }

    /// Begins a piece of work that only follows from others: without a trace there is nothing to record.
    pub fn follow(name: &str, kind: Kind, parent: Option<&str>) -> Self {
        let parent = TraceParent::of(parent);
        Self {
            recording: parent.and_then(|_| Recording::begin(name, kind, parent)),
            parent,
        }
    }

    /// What follows from this work has this `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Option<TraceParent> {
        self.recording.as_ref().map(Recording::traceparent).or(self.parent)
    }

    /// Notes what it is about. Never a name of a user.
    pub fn note(&mut self, key: &'static str, value: impl Into<String>) {
        if let Some(recording) = &mut self.recording {
            recording.note(key, value.into());
        }
    }

    /// Notes that it failed.
    pub fn fail(&mut self, why: impl Into<String>) {
        if let Some(recording) = &mut self.recording {
            recording.fail(why.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn without_a_collector_a_trace_passes_through() {
        let span = Span::follow("work", Kind::Consumer, Some(PARENT));
        assert_eq!(
            span.traceparent().map(|parent| parent.to_string()).as_deref(),
            Some(PARENT)
        );
        assert_eq!(Span::follow("work", Kind::Consumer, None).traceparent(), None);
        assert_eq!(Span::begin("work", Kind::Server, None).traceparent(), None);
    }
}
