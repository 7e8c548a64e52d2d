//! What clients are told as they log in.

use vpnmanager_nats::{groups::GroupName, network::Network};

use super::{Keeper, put_back};
use crate::{
    network::{
        error::NetworkError,
        feasible::{Lack, feasible_routes},
        pushes,
        roster::Roster,
    },
    openvpn::tunnel::Tunnel,
    pushed_file::Kept,
};

impl Keeper {
    /// Tells clients of this network, and members of groups of the routes of theirs. The first thing that a group with members here lacks.
    pub(super) fn push(
        &self,
        network: &Network,
        tunnels: &[Tunnel],
        roster: &Roster,
    ) -> Result<Option<Lack>, NetworkError> {
        let mut lack = None;
        let mut texts = Vec::new();
        for group in roster.known() {
            let feasible = feasible_routes(group, tunnels, self.site.tunnels.wanted());
            if roster.is_here(&group.name) {
                lack = lack.or(feasible.lack);
            }
            texts.push((
                &group.name,
                pushes::render(network, tunnels, &group.name, &feasible.routes),
            ));
        }
        let of = |name: &GroupName| {
            texts
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, text)| text.clone())
        };
        let default = GroupName::default();
        let text = of(&default).unwrap_or_else(|| pushes::render(network, tunnels, &default, &[]));
        // Of a group that is not known nothing is said: its members reach nothing.
        self.set_pushed(text, roster, |name| of(name).unwrap_or_default())?;
        Ok(lack)
    }

    /// Nobody is told of a way. Before management said anything, what clients are told stays.
    pub(super) fn push_nothing(&self, roster: &Roster, is_told: bool) -> Result<(), NetworkError> {
        if is_told {
            return self.set_pushed(String::new(), roster, |_| String::new());
        }
        self.site.pushed.keep()?;
        self.site.pushed_groups.keep()?;
        Ok(())
    }

    fn set_pushed(
        &self,
        text: String,
        roster: &Roster,
        text_of: impl Fn(&GroupName) -> String,
    ) -> Result<(), NetworkError> {
        let groups = &self.site.pushed_groups;
        let mut is_put_back = self.site.pushed.set(text)? == Kept::PutBack;
        for name in roster.pushed() {
            is_put_back |= groups.set(&name, text_of(&name))? == Kept::PutBack;
        }
        // Asked anew: somebody may have got a place meanwhile.
        let now = || Roster {
            blocks: self.site.places.blocks(),
            ..roster.clone()
        };
        groups.retain(|| now().pushed())?;
        if is_put_back {
            put_back("what is pushed to clients");
        }
        Ok(())
    }
}
