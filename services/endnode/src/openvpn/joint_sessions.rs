//! The sessions of several OpenVPNs as those of one server.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::session_numbers::{key_among_all, numbers_of, session_among_all};
use crate::backend::{BackendError, CutSessions, Look, Session};

/// Who was connected when each server was last asked, by the number of the server. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct LastTold {
    /// The number of the first one.
    first: usize,
    told: Arc<Mutex<BTreeMap<usize, Vec<Session>>>>,
}

impl LastTold {
    /// Of servers of which the first has this number; nothing was told yet.
    pub(super) fn from_number(first: usize) -> Self {
        Self {
            first,
            ..Self::default()
        }
    }

    /// What so many servers told last, none of which can be asked now.
    pub(super) fn unasked(&self, servers: usize) -> Look {
        let all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let mut look = Look::default();
        for number in (self.first..).take(servers) {
            look.unasked.push(numbers_of(number));
            let sessions = all.get(&number).into_iter().flatten().cloned();
            look.sessions
                .extend(sessions.map(|session| session_among_all(number, session)));
        }
        look
    }

    /// What all servers told of their sessions, as these are named among all. Those of one that could not be asked are the ones that it told of
    /// last: nobody knows better, and who is on the others is moved, counted and shown all the same. The first failure where none could be asked.
    pub(super) fn joint_look(&self, told: Vec<Result<Vec<Session>, BackendError>>) -> Result<Look, BackendError> {
        let servers = told.len();
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut look, mut first_failure) = (Look::default(), None);
        for (number, told) in (self.first..).zip(told) {
            let last = all.entry(number).or_default();
            match told {
                Ok(sessions) => *last = sessions,
                Err(failure) => {
                    look.unasked.push(numbers_of(number));
                    _ = first_failure.get_or_insert(failure);
                }
            }
            let sessions = last.iter().cloned();
            look.sessions
                .extend(sessions.map(|session| session_among_all(number, session)));
        }
        match first_failure {
            Some(failure) if look.unasked.len() == servers => Err(failure),
            Some(_) | None => Ok(look),
        }
    }
}

/// What was cut on all servers, of which the first has this number, with its sessions as they are named among all. The first failure, if there is
/// one: all had their turn.
pub(super) fn cut_on_all(
    first: usize,
    outcomes: Vec<Result<CutSessions, BackendError>>,
) -> Result<CutSessions, BackendError> {
    let mut all = CutSessions::default();
    for (number, outcome) in (first..).zip(outcomes) {
        let cut = outcome?;
        let moved = cut.moved.iter().map(|key| key_among_all(number, *key)).collect();
        all = all.and(CutSessions { moved, ..cut });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::DateTime;

    use super::*;
    use crate::backend::{Rest, SessionKey};

    #[test]
    fn what_is_left_on_one_server_is_left_and_the_sessions_of_each_are_named_apart() {
        let key = |cid| SessionKey {
            since: DateTime::UNIX_EPOCH,
            cid,
        };
        let cut = |rest| {
            Ok(CutSessions {
                count: 2,
                moved: BTreeSet::from([key(7)]),
                rest,
            })
        };
        let all = cut_on_all(0, vec![cut(Rest::Nothing), cut(Rest::Pending)]).expect("cut");
        assert_eq!(
            all,
            CutSessions {
                count: 4,
                moved: BTreeSet::from([key(7), key((1 << 40) + 7)]),
                rest: Rest::Pending,
            }
        );
        let failure = Err(BackendError::NoServer);
        assert!(cut_on_all(0, vec![cut(Rest::Nothing), failure]).is_err());
    }

    #[test]
    fn of_a_server_that_cannot_be_asked_is_known_what_it_told_before_and_of_none_nothing() {
        const SECOND: u64 = 1 << 40;
        let session = |cid, common_name: &str| Session {
            cid,
            common_name: common_name.to_owned(),
            ..Session::default()
        };
        let failure = || Err(BackendError::NoServer);
        let last_told = LastTold::default();
        let look = |told| last_told.joint_look(told);
        let nobody = look(vec![Ok(Vec::new()), failure()]).expect("one was asked");
        assert_eq!(nobody.sessions, [], "the other one never told");
        let of_second = vec![session(0, "bob.x"), session(4, "carol.x")];
        look(vec![Ok(Vec::new()), Ok(of_second)]).expect("both were asked");

        let found = look(vec![Ok(vec![session(7, "alice.x")]), failure()]).expect("one was asked");

        let is_unasked = [7, SECOND - 1, SECOND, SECOND + 4].map(|cid| found.is_unasked(session(cid, "").key()));
        assert_eq!(is_unasked, [false, false, true, true]);
        let (alice, bob, carol) = (
            session(7, "alice.x"),
            session(SECOND, "bob.x"),
            session(SECOND + 4, "carol.x"),
        );
        assert_eq!(found.sessions, [alice.clone(), bob, carol]);
        assert_eq!(found.told(), [alice]);
        assert!(look(vec![failure(), failure()]).is_err());
        let asked = look(vec![Ok(Vec::new()), Ok(Vec::new())]).expect("both were asked");
        assert_eq!(asked, Look::default());
        let again = look(vec![Ok(Vec::new()), failure()]).expect("one was asked");
        assert_eq!(again.sessions, [], "the other one told that nobody is there");
    }

    #[test]
    fn servers_behind_others_are_named_by_their_own_numbers_also_by_what_they_told_last() {
        const FOURTH: u64 = 4 << 40;
        let last_told = LastTold::from_number(4);
        let session = Session {
            cid: 7,
            ..Session::default()
        };
        let found = last_told.joint_look(vec![Ok(vec![session])]).expect("asked");
        assert_eq!(found.sessions[0].cid, FOURTH + 7);

        let left = last_told.unasked(1);

        assert_eq!(left.sessions, found.sessions);
        assert!(left.is_unasked(found.sessions[0].key()));
        assert_eq!(left.told(), []);
    }
}
