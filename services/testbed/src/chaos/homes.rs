//! Checks that no home moves because the bus was away: then it is management that hears nobody.

use std::{collections::BTreeMap, time::Duration};

use super::{
    injector::Outage,
    inventory::Audited,
    limits::{LOST_AFTER, REHOME_AFTER},
};

/// The fault's end is noted a moment after management hears again.
const NOTED: Duration = Duration::from_secs(2);

/// Homes that moved in an outage of the bus, or so soon after it that no node can have been silent for long enough: one sentence for each.
/// The users of a node that was lost before the outage may get another home.
pub(super) fn moved_in(outages: &[Outage], trail: &[Audited]) -> Vec<String> {
    let mut told = Vec::new();
    let mut states: BTreeMap<&str, Vec<&Audited>> = BTreeMap::new();
    for row in trail {
        if row.action == "node_state_changed" {
            states.entry(&row.server_id).or_default().push(row);
        }
        let at = row.at;
        let too_soon = LOST_AFTER + REHOME_AFTER - NOTED;
        let meant = |outage: &&Outage| (outage.from..outage.until + too_soon).contains(&at);
        let (true, Some(outage)) = (row.action == "user_rehomed", outages.iter().find(meant)) else {
            continue;
        };
        let home = row.before.as_ref().and_then(|before| before["server_id"].as_str());
        let earlier = home.and_then(|home| states.get(home));
        let last = earlier.and_then(|rows| rows.iter().rev().find(|row| row.at < outage.from));
        let was_lost = last
            .and_then(|row| row.after.as_ref())
            .is_some_and(|after| after["state"] == "lost");
        if !was_lost {
            told.push(format!(
                "the home of {:?} moved from {home:?} at {at} although the bus was away from {} until {}: {:?}",
                row.username, outage.from, outage.until, row.details
            ));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};
    use serde_json::{Value, json};

    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap() + TimeDelta::seconds(second)
    }

    fn audited(second: i64, action: &str, before: Value, after: Value) -> Audited {
        Audited {
            at: at(second),
            server_id: "node-1".to_owned(),
            action: action.to_owned(),
            username: None,
            request_id: None,
            details: None,
            before: Some(before),
            after: Some(after),
        }
    }

    fn moved(second: i64) -> Audited {
        let home = |name: &str| json!({ "server_id": name });
        audited(second, "user_rehomed", home("node-1"), home("node-2"))
    }

    #[test]
    fn a_home_that_moves_because_the_bus_was_away_is_told() {
        let outages = [Outage {
            from: at(100),
            until: at(124),
        }];
        let lost = |second| {
            let state = |word: &str| json!({ "state": word });
            audited(second, "node_state_changed", state("stale"), state("lost"))
        };
        for (second, count) in [(99, 0), (121, 1), (130, 1), (145, 0)] {
            assert_eq!(moved_in(&outages, &[moved(second)]).len(), count, "{second}");
        }
        assert_eq!(moved_in(&outages, &[lost(95), moved(110)]), Vec::<String>::new());
        assert_eq!(moved_in(&outages, &[lost(111), moved(121)]).len(), 1);
    }
}
