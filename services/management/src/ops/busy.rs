//! Whoever changes many rows at once holds those that it has while it waits for the next, and whoever wants one of these waits for both.

/// What to do with rows that another transaction is changing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// They are left out.
    LeaveOut,
    /// They are waited for.
    Await,
}

impl Busy {
    /// What follows `FOR UPDATE` and the like.
    pub(in crate::ops) fn sql(self) -> &'static str {
        match self {
            Self::LeaveOut => "SKIP LOCKED",
            Self::Await => "",
        }
    }
}
