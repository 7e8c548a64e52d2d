//! A look at who is connected.

use std::ops::Range;

use super::session::{Session, SessionKey};

/// Who is connected, as far as servers could be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The connected clients. Those of a server that could not be asked are the ones that it told of last; none if it never did.
    pub sessions: Vec<Session>,
    /// The servers that could not be asked, each as the numbers that sessions of it have ([`Session::cid`]).
    pub unasked: Vec<Range<u64>>,
}

impl Look {
    /// Whether the server of this session could not be asked: whether it lives is not known.
    pub fn is_unasked(&self, session: SessionKey) -> bool {
        is_of_one(&self.unasked, session.cid)
    }

    /// A look at these servers and others.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.sessions.extend(other.sessions);
        self.unasked.extend(other.unasked);
        self
    }

    /// The sessions that live for certain: those of the servers that were asked.
    pub fn told(self) -> Vec<Session> {
        let Self { mut sessions, unasked } = self;
        sessions.retain(|session| !is_of_one(&unasked, session.cid));
        sessions
    }
}

/// All servers were asked.
impl From<Vec<Session>> for Look {
    fn from(sessions: Vec<Session>) -> Self {
        Self {
            sessions,
            unasked: Vec::new(),
        }
    }
}

fn is_of_one(servers: &[Range<u64>], cid: u64) -> bool {
    servers.iter().any(|numbers| numbers.contains(&cid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_told_before_is_not_what_it_tells() {
        let session = |cid| Session {
            cid,
            ..Session::default()
        };
        let all = vec![session(7), session(107)];
        assert_eq!(Look::from(all.clone()).told(), all);

        let second = 100..200;
        let look = Look {
            sessions: all,
            unasked: vec![second],
        };

        let is_unasked = [7, 107, 199, 200].map(|cid| look.is_unasked(session(cid).key()));
        assert_eq!(is_unasked, [false, true, true, false]);
        assert_eq!(look.told(), [session(7)]);
    }
}
