//! Carries out checks, one after the other.

use std::time::Instant;

use super::{
    check::{Check, Seen, Trouble},
    report::{Finding, Outcome},
};

/// Checks under way, and what was found so far.
#[derive(Debug, Default)]
pub struct Examination {
    findings: Vec<Finding>,
}

impl Examination {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at something with what earlier checks gave. Gives what later ones need; `None`: it failed, or was skipped.
    ///
    /// `needed` is `None` where an earlier check did not give it: then this one is skipped, as it is where a check that it needs failed.
    pub async fn look<I, T>(
        &mut self,
        check: &Check,
        needed: Option<I>,
        look: impl AsyncFnOnce(I) -> Seen<T>,
    ) -> Option<T> {
        let began = Instant::now();
        let seen = match (self.missing(check), needed) {
            (Some(why), _) => Seen::skipped(why),
            (None, None) => Seen::skipped("an earlier check did not come so far"),
            (None, Some(needed)) => match tokio::time::timeout(check.deadline, look(needed)).await {
                Ok(seen) => seen,
                Err(_elapsed) => Seen::failed(Trouble {
                    found: format!("no answer within {:?}", check.deadline),
                    why: "what it asks is silent, or very slow".to_owned(),
                    mend: None,
                }),
            },
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let Seen {
            verdicts,
            value,
            details,
        } = seen;
        let found = verdicts.into_iter().map(|(of, verdict)| Finding {
            of,
            took_ms,
            details: details.clone(),
            ..Finding::new(check, verdict)
        });
        self.findings.extend(found);
        value
    }

    /// What was found, in the order of the checks.
    #[must_use]
    pub fn findings(self) -> Vec<Finding> {
        self.findings
    }

    /// Which of the checks that this one needs is not there.
    fn missing(&self, check: &Check) -> Option<String> {
        check.needs.iter().find_map(|need| self.lack_of(need))
    }

    /// Why there is nothing of this check. Where it looked at several, one that is well is enough to go on with.
    fn lack_of(&self, need: &str) -> Option<String> {
        let mut lack = None;
        for finding in self.findings.iter().filter(|finding| finding.id == need) {
            match finding.outcome {
                Outcome::Ok | Outcome::Warning => return None,
                Outcome::Failed => lack = Some(format!("the check {need} failed")),
                Outcome::Skipped => lack = lack.or_else(|| Some(format!("the check {need} was skipped"))),
            }
        }
        lack
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::check::Verdict, *};

    const FIRST: Check = Check::new("first", "The first");
    const SECOND: Check = Check::new("second", "The second").after(&["first"]);
    const THIRD: Check = Check::new("third", "The third").after(&["second"]);
    const SLOW: Check = Check::new("slow", "A slow one").within(Duration::from_millis(5));

    fn outcomes(examination: Examination) -> Vec<(&'static str, Outcome)> {
        let findings = examination.findings();
        findings.iter().map(|finding| (finding.id, finding.outcome)).collect()
    }

    #[tokio::test]
    async fn what_depends_on_a_failed_check_is_skipped_and_says_so_and_the_rest_goes_on() {
        let mut examination = Examination::new();
        let failed: Option<u8> = examination
            .look(&FIRST, Some(()), async |()| {
                Seen::failed(Trouble::new("gone", "lost", "find it"))
            })
            .await;
        let second = examination
            .look(&SECOND, failed, async |number| Seen::fine(number.to_string(), number))
            .await;
        examination.look(&THIRD, second, async |_| Seen::fine("seen", ())).await;
        let other = Check::new("other", "Another one");
        examination
            .look(&other, Some(7), async |seven| Seen::fine("seen", seven))
            .await;
        let why: Vec<_> = examination
            .findings
            .iter()
            .filter_map(|finding| finding.why.clone())
            .collect();
        assert_eq!(why, ["lost", "the check first failed", "the check second was skipped"]);
        assert_eq!(
            outcomes(examination),
            [
                ("first", Outcome::Failed),
                ("second", Outcome::Skipped),
                ("third", Outcome::Skipped),
                ("other", Outcome::Ok)
            ]
        );
    }

    #[tokio::test]
    async fn of_several_one_that_is_well_is_enough_to_go_on_with() {
        let failed = || Verdict::Failed(Trouble::new("gone", "lost", "find it"));
        let fine = || Verdict::Fine("there".to_owned());
        for (of_n2, expected) in [(fine(), Outcome::Ok), (failed(), Outcome::Skipped)] {
            let mut examination = Examination::new();
            let both = [("n1".to_owned(), failed()), ("n2".to_owned(), of_n2)];
            let seen = examination.look(&FIRST, Some(()), async |()| Seen::each(both)).await;
            examination.look(&SECOND, seen, async |()| Seen::fine("seen", ())).await;
            assert_eq!(outcomes(examination).last(), Some(&("second", expected)));
        }
    }

    #[tokio::test]
    async fn a_warning_keeps_nothing_back() {
        let mut examination = Examination::new();
        let trouble = Trouble::new("nearly full", "it grows", "make room");
        let first = examination
            .look(&FIRST, Some(()), async |()| Seen::warning(trouble, 3))
            .await;
        let second = examination
            .look(&SECOND, first, async |three| Seen::fine("seen", three))
            .await;
        assert_eq!(second, Some(3));
        assert_eq!(
            outcomes(examination),
            [("first", Outcome::Warning), ("second", Outcome::Ok)]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_ends_with_its_deadline() {
        let mut examination = Examination::new();
        let never = async |()| -> Seen { std::future::pending().await };
        assert_eq!(examination.look(&SLOW, Some(()), never).await, None);
        let finding = examination.findings().remove(0);
        assert_eq!(
            (finding.outcome, finding.found.as_deref()),
            (Outcome::Failed, Some("no answer within 5ms"))
        );
    }
}
