//! `sessions`: who is connected, in pages.

use vpnmanager_nats::node_requests::{LiveSession, NodeAnswer, SESSIONS_PAGE};

use crate::{
    backend::{BackendError, Session, VpnBackend as _},
    shared::Shared,
};

pub(super) async fn answer(shared: &Shared, offset: u32) -> Result<NodeAnswer, BackendError> {
    Ok(page(shared.vpn.sessions().await?, offset))
}

/// Those of our own certificates, oldest first, so that pages stay in place while clients come.
fn page(mut sessions: Vec<Session>, offset: u32) -> NodeAnswer {
    sessions.sort_by_key(|session| (session.since, session.cid));
    let mut sessions: Vec<LiveSession> = sessions.into_iter().filter_map(Session::live).collect();
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(sessions.len());
    let mut page = sessions.split_off(from);
    let more = page.len() > SESSIONS_PAGE;
    page.truncate(SESSIONS_PAGE);
    NodeAnswer::Sessions { sessions: page, more }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn session(cid: u64, common_name: &str) -> Session {
        Session {
            common_name: common_name.to_owned(),
            cid,
            since: DateTime::from_timestamp(1_000_000 - i64::try_from(cid).unwrap(), 0).unwrap(),
            ..Session::default()
        }
    }

    #[test]
    fn pages_are_oldest_first_and_say_whether_there_are_more() {
        let all = SESSIONS_PAGE as u64 + 2;
        let sessions: Vec<Session> = (0..all).map(|cid| session(cid, "alice.x")).collect();
        let cases = [
            (0, SESSIONS_PAGE, true),
            (2, SESSIONS_PAGE, false),
            (3, SESSIONS_PAGE - 1, false),
            (u32::MAX, 0, false),
        ];
        for (offset, length, expected_more) in cases {
            let NodeAnswer::Sessions { sessions: shown, more } = page(sessions.clone(), offset) else {
                panic!("another answer")
            };
            assert_eq!((shown.len(), more), (length, expected_more), "from {offset}");
            assert!(shown.is_sorted_by_key(|session| session.since));
        }
    }

    /// They take no place in a page either: it would look like the last one.
    #[test]
    fn sessions_of_other_certificates_are_left_out() {
        let ours = (0..=SESSIONS_PAGE as u64).map(|cid| session(cid, "bob.x"));
        let all: Vec<Session> = ours.chain([session(1000, "not one of ours")]).collect();
        for (offset, expected) in [
            (0, (SESSIONS_PAGE, true)),
            (u32::try_from(SESSIONS_PAGE).unwrap(), (1, false)),
        ] {
            let NodeAnswer::Sessions { sessions, more } = page(all.clone(), offset) else {
                panic!("another answer")
            };
            assert_eq!((sessions.len(), more), expected, "from {offset}");
        }
    }
}
