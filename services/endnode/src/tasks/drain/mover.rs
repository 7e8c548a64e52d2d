//! Which client is moved next. Pure: the caller passes the time.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;
use vpnmanager_nats::ids::CommonName;

use crate::backend::{Session, SessionKey};

/// A session that was told to move and is still there after this long is told again; OpenVPN itself ends it after 5 s.
const TELL_AGAIN: Duration = Duration::from_secs(10);
/// A client that comes back this often has nowhere else to go, and is left alone for [`LET_ALONE`]: better here than nowhere.
const MOST_MOVES: u32 = 3;
const LET_ALONE: Duration = Duration::from_secs(60);
/// How much unused pace is made up for after a pause: a little more than the time between two looks.
const CATCH_UP: Duration = Duration::from_millis(500);

/// Remembers who was moved in one period of draining.
#[derive(Debug, Default)]
pub(super) struct Mover {
    /// Sessions that were seen, and when they were told.
    seen: HashMap<SessionKey, Option<Instant>>,
    moves: HashMap<CommonName, Moves>,
    /// When the next client may be moved of those that were connected at the start.
    next: Option<Instant>,
}

#[derive(Debug)]
struct Moves {
    count: u32,
    last: Instant,
}

impl Mover {
    /// The credentials whose turn it is at `now`: newcomers, and of the others as many as `pace` allows in each second.
    pub(super) fn due(&mut self, sessions: &[Session], pace: u32, now: Instant) -> Vec<CommonName> {
        let first_look = self.next.is_none();
        // Pace that was not used for longer than that is lost: clients are not moved in a crowd.
        let mut next = self.next.unwrap_or(now).max(now.checked_sub(CATCH_UP).unwrap_or(now));
        let known = std::mem::take(&mut self.seen);
        self.moves.retain(|_, moves| now - moves.last < LET_ALONE);
        let mut oldest_first: Vec<&Session> = sessions.iter().collect();
        oldest_first.sort_by_key(|session| (session.since, session.cid));
        let mut due = Vec::new();
        for session in oldest_first {
            let id = session.key();
            // A session of a foreign certificate is cut anyway.
            let Ok(name) = session.common_name.parse::<CommonName>() else {
                continue;
            };
            let told = known.get(&id).copied().flatten();
            let is_newcomer = !first_look && !known.contains_key(&id);
            let is_waiting = told.is_some_and(|told| now - told < TELL_AGAIN);
            let is_tired = self.moves.get(&name).is_some_and(|moves| moves.count >= MOST_MOVES);
            if is_waiting || is_tired || (!is_newcomer && next > now) {
                self.seen.insert(id, told);
                continue;
            }
            if !is_newcomer {
                next += Duration::from_secs(1) / pace.max(1);
            }
            self.seen.insert(id, Some(now));
            let moves = self.moves.entry(name.clone()).or_insert(Moves { count: 0, last: now });
            moves.count += 1;
            moves.last = now;
            due.push(name);
        }
        self.next = Some(next);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(cid: u64) -> Session {
        Session {
            common_name: format!("user{}.x", cid % 100),
            cid,
            ..Session::default()
        }
    }

    #[test]
    fn whoever_keeps_coming_back_is_left_alone_for_a_while() {
        let (mut mover, now) = (Mover::default(), Instant::now());
        let mut moved = Vec::new();
        for round in 0..6_u64 {
            let at = now + Duration::from_secs(2 * round);
            moved.push(mover.due(&[session(100 * round)], 1, at).len());
        }
        assert_eq!(moved, [1, 1, 1, 0, 0, 0]);
        let later = now + Duration::from_secs(4) + LET_ALONE;
        assert_eq!(mover.due(&[session(600)], 1, later).len(), 1);
    }

    #[test]
    fn a_session_that_ends_slowly_is_not_told_again_at_once() {
        let (mut mover, now) = (Mover::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        let told: Vec<usize> = [0, 1, 5, 10].map(|s| mover.due(&[session(1)], 5, at(s)).len()).to_vec();
        assert_eq!(told, [1, 0, 0, 1]);
    }
}
