//! What is wrong with a node, in one text. Pure.

use vpnmanager_nats::bounded::{TEXT, shortened};

use crate::backend::{BackendHealth, BackendState};

const BETWEEN: &str = "; ";

/// These faults, in this order, in at most [`TEXT`] characters, which is what management takes. Where all together are longer, the long ones are
/// cut and each still has its place: none hides another one.
pub(crate) fn all_of(faults: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    let share = share_of(&faults);
    let said: Vec<String> = faults.iter().map(|fault| shortened(fault, share)).collect();
    (!said.is_empty()).then(|| said.join(BETWEEN))
}

/// The detail of a server, with what this node lacks. What is wrong with the network of the pool is there too where the server, or that of a
/// listener, is down: it may be why, and management says that before all other faults.
pub(crate) fn detail_of(server: &BackendHealth, network: Option<String>, lacks: [Option<String>; 2]) -> String {
    let is_down = server.state == BackendState::Down || server.is_partly_down;
    let of_server = [Some(server.detail.clone()), network.filter(|_| is_down)];
    joined(of_server.into_iter().chain(lacks))
}

/// A detail with another one behind it.
pub(crate) fn with_detail(detail: String, other: Option<String>) -> String {
    joined([Some(detail), other])
}

fn joined(details: impl IntoIterator<Item = Option<String>>) -> String {
    let said = details.into_iter().flatten().filter(|text| !text.is_empty());
    said.collect::<Vec<_>>().join(BETWEEN)
}

/// The most characters that each may have. What short ones leave is for the long ones.
fn share_of(faults: &[String]) -> usize {
    let mut lengths: Vec<usize> = faults.iter().map(|fault| fault.chars().count()).collect();
    lengths.sort_unstable();
    let between = BETWEEN.len() * faults.len().saturating_sub(1);
    let mut room = TEXT.saturating_sub(between);
    let mut share = room;
    for (length, left) in lengths.iter().zip((1..=lengths.len()).rev()) {
        share = room / left;
        if *length > share {
            return share;
        }
        room -= length;
    }
    share
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(letter: &str, characters: usize) -> Option<String> {
        Some(letter.repeat(characters))
    }

    #[test]
    fn all_are_said_in_their_order() {
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(all_of([None, None]), None);
        assert_eq!(all_of([None, said("the disk is full"), None]), said("the disk is full"));
        assert_eq!(
            all_of([said("tcp:443: it died"), None, said("the disk is full")]),
            said("tcp:443: it died; the disk is full")
        );
        let exactly = [fault("a", 248), fault("b", 250)];
        assert_eq!(
            all_of(exactly),
            Some(format!("{}; {}", "a".repeat(248), "b".repeat(250)))
        );
    }

    #[test]
    fn a_long_one_hides_no_other_one() {
        let said = all_of([fault("a", 900), fault("b", 40), fault("c", 900)]).expect("faults");

        let lengths: Vec<usize> = said.split(BETWEEN).map(|fault| fault.chars().count()).collect();
        assert_eq!(lengths, [228, 40, 228]);
        assert_eq!(said.chars().count(), TEXT);
        let cut = ["a".repeat(227), "c".repeat(227)].map(|text| format!("{text}…"));
        assert!(said.starts_with(&cut[0]) && said.ends_with(&cut[1]), "{said}");
        let alone = all_of([fault("é", 900)]).expect("a fault");
        assert_eq!(alone.chars().count(), TEXT);
    }

    #[test]
    fn what_is_wrong_with_the_network_is_said_where_it_may_be_why_a_listener_is_down() {
        let network = || Some("no rules".to_owned());
        let with = |state, is_partly_down| BackendHealth {
            is_partly_down,
            fault: is_partly_down.then(|| "tcp:443: it died".to_owned()),
            ..BackendHealth::bare(state, "a remark")
        };
        let closed = BackendHealth {
            fault: Some("nobody can read the allow-list".to_owned()),
            ..with(BackendState::Up, false)
        };
        for (server, expected) in [
            (with(BackendState::Up, false), "a remark; no room"),
            (with(BackendState::Starting, false), "a remark; no room"),
            (with(BackendState::Down, false), "a remark; no rules; no room"),
            (with(BackendState::Up, true), "a remark; no rules; no room"),
            (closed, "a remark; no room"),
        ] {
            let lacks = [None, Some("no room".to_owned())];
            assert_eq!(detail_of(&server, network(), lacks), expected, "{server:?}");
        }
        let bare = BackendHealth::bare(BackendState::Up, "");
        assert_eq!(detail_of(&bare, network(), [None, None]), "");
    }
}
