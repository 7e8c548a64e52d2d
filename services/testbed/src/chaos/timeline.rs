//! What happened when, to explain a violation.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use chrono::{DateTime, SecondsFormat, Utc};

/// Lines in the order in which they happened. Cheap to clone; all clones share the lines.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    began: Instant,
    lines: Arc<Mutex<Vec<Line>>>,
}

#[derive(Debug)]
struct Line {
    at: DateTime<Utc>,
    since: f64,
    what: String,
}

impl Timeline {
    pub(super) fn begin() -> Self {
        Self {
            began: Instant::now(),
            lines: Arc::default(),
        }
    }

    pub(super) fn note(&self, line: impl Into<String>) {
        let line = Line {
            at: Utc::now(),
            since: self.began.elapsed().as_secs_f64(),
            what: line.into(),
        };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    pub(super) fn text(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().fold(String::new(), |mut text, Line { at, since, what }| {
            let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
            // Writing to a string does not fail.
            let _ = writeln!(text, "{at} {since:8.3}  {what}");
            text
        })
    }
}
