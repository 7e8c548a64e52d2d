//! The clock of the database. What one replica writes and another one compares goes by it, because their own clocks differ.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// How far it is ahead of this machine's, as last seen. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct DatabaseClock {
    /// Microseconds; negative: behind.
    ahead: Arc<AtomicI64>,
}

impl DatabaseClock {
    /// One that is so far ahead.
    #[must_use]
    pub fn ahead_by(ahead: TimeDelta) -> Self {
        let clock = Self::default();
        clock.set(ahead);
        clock
    }

    /// The database said that it is `database`, when it was `asked` here or later, and now.
    pub fn said(&self, database: DateTime<Utc>, asked: DateTime<Utc>) {
        self.set(database - (asked + (Utc::now() - asked) / 2));
    }

    /// How far it is ahead of this machine's clock.
    #[must_use]
    pub fn ahead(&self) -> TimeDelta {
        TimeDelta::microseconds(self.ahead.load(Ordering::Relaxed))
    }

    /// What it says now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.of(Utc::now())
    }

    /// What it said at a moment of this machine's clock.
    #[must_use]
    pub fn of(&self, here: DateTime<Utc>) -> DateTime<Utc> {
        here.checked_add_signed(self.ahead()).unwrap_or(here)
    }

    fn set(&self, ahead: TimeDelta) {
        self.ahead
            .store(ahead.num_microseconds().unwrap_or_default(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_far_ahead_as_the_database_said() {
        let clock = DatabaseClock::default();
        assert_eq!(clock.ahead(), TimeDelta::zero());
        let asked = Utc::now();
        clock.said(asked + TimeDelta::seconds(40), asked);
        let off = clock.ahead() - TimeDelta::seconds(40);
        assert!(off.abs() < TimeDelta::seconds(1), "{off}");
        assert!((clock.now() - Utc::now() - TimeDelta::seconds(40)).abs() < TimeDelta::seconds(1));
        assert_eq!(
            DatabaseClock::ahead_by(TimeDelta::seconds(-3)).of(asked),
            asked - TimeDelta::seconds(3)
        );
    }
}
