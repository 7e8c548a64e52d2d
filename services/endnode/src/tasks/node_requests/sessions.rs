//! `sessions`: who is connected, in pages.

use vpnmanager_nats::node_requests::{NodeAnswer, SESSIONS_PAGE};

use crate::{
    backend::{BackendError, Session, VpnBackend as _},
    shared::Shared,
};

pub(super) async fn answer(shared: &Shared, offset: u32) -> Result<NodeAnswer, BackendError> {
    Ok(page(shared.vpn.sessions().await?, offset))
}

/// Oldest first, so that pages stay in place while clients come.
fn page(mut sessions: Vec<Session>, offset: u32) -> NodeAnswer {
    sessions.sort_by_key(|session| (session.since, session.cid));
    let from = usize::try_from(offset).unwrap_or(usize::MAX).min(sessions.len());
    let rest = sessions.split_off(from);
    let more = rest.len() > SESSIONS_PAGE;
    NodeAnswer::Sessions {
        sessions: rest.into_iter().take(SESSIONS_PAGE).filter_map(Session::live).collect(),
        more,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn session(cid: u64, common_name: &str) -> Session {
        Session {
            common_name: common_name.to_owned(),
            cid,
            real_address: "192.0.2.1:50000".to_owned(),
            virtual_address: String::new(),
            bytes_in: 0,
            bytes_out: 0,
            since: DateTime::from_timestamp(1_000_000 - i64::try_from(cid).unwrap(), 0).unwrap(),
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

    #[test]
    fn sessions_of_other_certificates_are_left_out() {
        let page = page(vec![session(1, "not one of ours"), session(2, "bob.x")], 0);
        let NodeAnswer::Sessions { sessions, more: false } = page else {
            panic!("another answer")
        };
        assert_eq!(sessions.len(), 1);
    }
}
