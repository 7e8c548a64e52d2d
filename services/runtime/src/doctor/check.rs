//! One thing that is looked at, and what is seen of it.

use std::time::Duration;

/// How long a look may take where the check does not say otherwise.
const DEADLINE: Duration = Duration::from_secs(5);

/// One thing that is looked at.
#[derive(Debug, Clone, Copy)]
pub struct Check {
    /// What people and programs call it, in every release.
    pub id: &'static str,
    /// What it looks at, for people.
    pub title: &'static str,
    /// The ids of those without which there is nothing to see.
    pub needs: &'static [&'static str],
    /// How long the look may take.
    pub deadline: Duration,
}

impl Check {
    /// One that needs no other, with the usual deadline of 5 s.
    #[must_use]
    pub const fn new(id: &'static str, title: &'static str) -> Self {
        Self {
            id,
            title,
            needs: &[],
            deadline: DEADLINE,
        }
    }

    /// The same, skipped where one of these failed or was skipped: of a check that looks at several, all that it looked at.
    #[must_use]
    pub const fn after(self, needs: &'static [&'static str]) -> Self {
        Self { needs, ..self }
    }

    /// The same with another deadline.
    #[must_use]
    pub const fn within(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }
}

/// What a look showed, and what it had in its hands for later checks.
#[derive(Debug)]
pub struct Seen<T = ()> {
    /// Each with whom it is about, where the check looks at several.
    pub(super) verdicts: Vec<(Option<String>, Verdict)>,
    pub(super) value: Option<T>,
    pub(super) details: Vec<String>,
}

/// How it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be; the text says what was found.
    Fine(String),
    /// It works, and somebody should look at it.
    Warning(Trouble),
    /// It does not work.
    Failed(Trouble),
    /// It was not looked at.
    Skipped {
        /// Why.
        why: String,
        /// The command after which it would be.
        mend: Option<String>,
    },
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What was found.
    pub found: String,
    /// Why it is so, or what follows from it.
    pub why: String,
    /// The command that mends it, in one line, as it is pasted. `None`: nobody can say.
    pub mend: Option<String>,
}

impl Trouble {
    /// What was found, why, and the command that mends it.
    #[must_use]
    pub fn new(found: impl Into<String>, why: impl Into<String>, mend: impl Into<String>) -> Self {
        Self {
            found: found.into(),
            why: why.into(),
            mend: Some(mend.into()),
        }
    }
}

impl<T> Seen<T> {
    /// All is well.
    #[must_use]
    pub fn fine(found: impl Into<String>, value: T) -> Self {
        Self::of(Verdict::Fine(found.into()), Some(value))
    }

    /// It works, and somebody should look at it. Later checks go on.
    #[must_use]
    pub fn warning(trouble: Trouble, value: T) -> Self {
        Self::of(Verdict::Warning(trouble), Some(value))
    }

    /// It does not work. What needs it is skipped.
    #[must_use]
    pub fn failed(trouble: Trouble) -> Self {
        Self::of(Verdict::Failed(trouble), None)
    }

    /// There is nothing to look at here.
    #[must_use]
    pub fn skipped(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::of(Verdict::Skipped { why, mend: None }, None)
    }

    /// There is nothing to look at before this command was carried out.
    #[must_use]
    pub fn skipped_until(why: impl Into<String>, mend: impl Into<String>) -> Self {
        let (why, mend) = (why.into(), Some(mend.into()));
        Self::of(Verdict::Skipped { why, mend }, None)
    }

    /// What is known of each of several, with what later checks need.
    #[must_use]
    pub fn each_with(verdicts: impl IntoIterator<Item = (String, Verdict)>, value: T) -> Self {
        let named = |(of, verdict)| (Some(of), verdict);
        Self {
            verdicts: verdicts.into_iter().map(named).collect(),
            value: Some(value),
            details: Vec::new(),
        }
    }

    /// The same with what is said only to who asks for details.
    #[must_use]
    pub fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// Whether something that was seen does not work.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        let mut verdicts = self.verdicts.iter();
        verdicts.any(|(_, verdict)| matches!(verdict, Verdict::Failed(_)))
    }

    fn of(verdict: Verdict, value: Option<T>) -> Self {
        Self {
            verdicts: vec![(None, verdict)],
            value,
            details: Vec::new(),
        }
    }
}

impl Seen {
    /// What is known of each of several.
    #[must_use]
    pub fn each(verdicts: impl IntoIterator<Item = (String, Verdict)>) -> Self {
        Self::each_with(verdicts, ())
    }
}

impl From<Verdict> for Seen {
    fn from(verdict: Verdict) -> Self {
        let goes_on = match &verdict {
            Verdict::Fine(_) | Verdict::Warning(_) => Some(()),
            Verdict::Failed(_) | Verdict::Skipped { .. } => None,
        };
        Self::of(verdict, goes_on)
    }
}
