//! Members of groups are let in as soon as they can be held to their rules, and get the routes of their groups as soon as these are known.

use std::{collections::BTreeSet, ops::RangeInclusive, time::Duration};

use chrono::{DateTime, SubsecRound as _, Utc};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};
use vpnmanager_nats::{groups::GroupName, ids::CommonName};
use vpnmanager_runtime::{backoff::jittered, error_chain::chain, reconcile::Wake};

use crate::{
    apply::{Applier, ApplyError},
    backend::{BackendError, Parting, VpnBackend as _},
    coordination::readiness::Readiness,
    groups::{Definitions, Enforced, Holding, Places, Unheld},
    vpn::Vpn,
};

/// Before what failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What the task works with.
#[derive(Debug)]
pub struct Members {
    /// How they are held to their rules.
    pub holding: Holding,
    /// What management tells of groups.
    pub definitions: Definitions,
    /// Changes who is let in.
    pub applier: Applier,
    /// Knows who is connected.
    pub vpn: Vpn,
    /// Whether it is known who may be.
    pub readiness: Readiness,
    /// Wakes whoever lets in those that were held back.
    pub allow_list: Wake,
}

/// Follows what decides who of them is let in, until stopped.
pub async fn run(members: Members, stop: CancellationToken) -> anyhow::Result<()> {
    match &members.holding {
        Holding::ByAddress(places) => {
            let firewall = follow_firewall(places, &members.applier, &members.allow_list, &stop);
            _ = tokio::join!(firewall, members.follow_known(places, &stop));
        }
        Holding::NotAtAll(unheld) => members.follow_definitions(unheld, &stop).await,
    }
    Ok(())
}

/// Those with fixed addresses were held back while the firewall did not hold them. They are sent away when it has lost their rules.
async fn follow_firewall(places: &Places, applier: &Applier, allow_list: &Wake, stop: &CancellationToken) {
    let mut states = places.watch_enforced();
    loop {
        let state = *states.borrow_and_update();
        let is_done = match state {
            Enforced::Held => {
                allow_list.wake();
                true
            }
            Enforced::Gone => send_away(applier).await,
            Enforced::Pending | Enforced::Broken => true,
        };
        tokio::select! {
            changed = states.changed() => if changed.is_err() {
                return;
            },
            () = tokio::time::sleep(jittered(RETRY)), if !is_done => {}
            () = stop.cancelled() => return,
        }
    }
}

/// False when it has to be tried again.
async fn send_away(applier: &Applier) -> bool {
    let sent = applier.send_members_away().await;
    if let Err(error) = &sent {
        warn!(error = %chain(error), "Members of groups could not be sent away, trying again");
    }
    sent.is_ok()
}

/// Sends those members of these groups to log in again who logged in within this time. False when a server could not be asked: who is there has to
/// be sent later.
async fn send_back(
    vpn: &Vpn,
    places: &Places,
    groups: &BTreeSet<GroupName>,
    within: RangeInclusive<DateTime<Utc>>,
) -> Result<bool, BackendError> {
    if groups.is_empty() {
        return Ok(true);
    }
    let is_member = |name: &CommonName| places.place_of(name).is_some_and(|place| groups.contains(&place.group));
    let look = vpn.look().await?;
    let all_were_asked = look.unasked.is_empty();
    let sessions = look.told();
    let early = sessions.iter().filter(|session| within.contains(&session.since));
    let names = early.filter_map(|session| session.common_name.parse::<CommonName>().ok());
    let names: Vec<CommonName> = names.filter(is_member).collect();
    if !names.is_empty() {
        info!(
            sessions = names.len(),
            "Sending members of groups that were not known to log in again, for the routes of their groups"
        );
        vpn.disconnect(&names, Parting::Reconnect).await?;
    }
    Ok(all_were_asked)
}

impl Members {
    /// Who logged in before her group was known was told of no routes: she is sent to log in again, once they are pushed and the firewall has the
    /// rules of the group. Sessions of before this run of the agent have what the run before it pushed.
    async fn follow_known(&self, places: &Places, stop: &CancellationToken) {
        // OpenVPN tells times in whole seconds.
        let began = Utc::now().trunc_subsecs(0);
        let mut applied = self.definitions.watch_applied();
        let mut known = self.definitions.known();
        let mut in_effect_since = Utc::now();
        loop {
            let mut is_left = false;
            if let Some(in_effect) = self.definitions.in_effect() {
                let new: BTreeSet<GroupName> = in_effect.difference(&known).cloned().collect();
                match send_back(&self.vpn, places, &new, began..=in_effect_since).await {
                    Ok(true) => known = in_effect,
                    Ok(false) => is_left = true,
                    Err(error) => {
                        debug!(error = %chain(&error), "Members of groups could not be sent to log in again this time");
                        is_left = true;
                    }
                }
            }
            tokio::select! {
                changed = applied.changed() => match changed {
                    Ok(()) => in_effect_since = Utc::now(),
                    Err(_closed) => return,
                },
                () = tokio::time::sleep(jittered(RETRY)), if is_left => {}
                () = stop.cancelled() => return,
            }
        }
    }

    /// Where nobody can be held to rules, those are let in whose group has none.
    async fn follow_definitions(&self, unheld: &Unheld, stop: &CancellationToken) {
        let mut told = unheld.definitions().watch();
        while let Some(Ok(())) = stop.run_until_cancelled(told.changed()).await {
            while let Err(error) = self.follow_once().await {
                warn!(error = %chain(&error), "The allow-list could not follow a change of the groups, trying again");
                if stop
                    .run_until_cancelled(tokio::time::sleep(jittered(RETRY)))
                    .await
                    .is_none()
                {
                    return;
                }
            }
        }
    }

    /// Does nothing while the journal is incomplete: an empty one must not lock everybody out, and one that lacks its newest commits must let
    /// in nobody who was revoked. Once it is complete, the repair of the allow-list does the same.
    async fn follow_once(&self) -> Result<(), ApplyError> {
        if !self.readiness.has_a_say() {
            return Ok(());
        }
        let changes = self.applier.follow_definitions().await?;
        if !changes.is_unchanged() {
            info!(
                let_in = changes.added.len(),
                refused = changes.removed.len(),
                "The allow-list follows a change of the groups"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        backend::FakeBackend,
        groups::{Draft, Layout},
    };

    #[tokio::test]
    async fn who_logged_in_within_this_time_and_is_in_such_a_group_is_sent_back() {
        let places = Places::new(Layout::new("10.8.0.0/16".parse().expect("a network"), None));
        let eve: CommonName = "eve.x".parse().expect("a name");
        let group = |name: &str| BTreeSet::from([name.parse::<GroupName>().expect("a name")]);
        let mut draft = Draft::of(&places);
        _ = draft.place(&eve, &"sales".parse().expect("a name"));
        draft.commit();
        places.set_enforced(true);
        let fake = FakeBackend::with_places(places.clone());
        fake.allow(std::slice::from_ref(&eve)).await.expect("allow");
        assert!(fake.connect(&eve));
        let (vpn, minute) = (Vpn::from(fake.clone()), TimeDelta::minutes(1));
        let (before, after) = (Utc::now() - minute, Utc::now() + minute);

        for (name, within, expected) in [
            ("sales", after..=after, 0),
            ("sales", before..=before, 0),
            ("temps", before..=after, 0),
            ("sales", before..=after, 1),
        ] {
            let sent = send_back(&vpn, &places, &group(name), within).await;
            assert!(sent.expect("asked"), "{name}");
            assert_eq!(fake.partings().len(), expected, "{name}");
        }
        assert_eq!(fake.partings(), [(eve, Parting::Reconnect)]);
    }
}
