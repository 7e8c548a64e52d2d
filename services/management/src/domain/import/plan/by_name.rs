//! What becomes of somebody by the name alone: somebody new, or another old certificate of somebody who is there.

use vpnmanager_adopt::found::FoundUser;
use vpnmanager_nats::username::Username;

use super::{Decided, Named, Planner, not_let_in};
use crate::domain::{
    import::{
        certificates::NewCertificate,
        held::HeldUser,
        names::renamed,
        outcome::Outcome,
        planned::{Amendment, Newcomer, Work},
        policies::SameName,
        words::kept_at_old_listener,
    },
    shown_time::shown_time,
};

impl Planner<'_> {
    /// Decides for somebody whom no certificate tells.
    pub(super) fn decide_by_name(
        &self,
        user: &FoundUser,
        named: Named,
        certificates: Vec<NewCertificate>,
        reasons: &mut Vec<String>,
    ) -> Decided {
        let Named { username, is_replaced } = named;
        // Who is called so has the name, and not who comes to it.
        if self.usernames.contains(&username) || (is_replaced && self.names.contains(username.as_str())) {
            return Decided::conflict(reasons, format!("another user of the source is {username} already"));
        }
        let Some(held) = self.held.users.get(&username) else {
            return create(user, username, certificates, reasons);
        };
        // Somebody who was imported from this server before, without these certificates, is the same one.
        if held.home == *self.source.node {
            return self.join(user, (username, held), certificates, reasons);
        }
        let there_is = format!("there is a user {username}, whose home is {}", held.home);
        match self.policies.same_name {
            SameName::Join if is_replaced => {
                Decided::conflict(reasons, format!("{there_is}, and who may be somebody else"))
            }
            SameName::Join => self.join(user, (username, held), certificates, reasons),
            SameName::Skip => Decided::conflict(reasons, there_is),
            SameName::Rename => self.rename(user, &username, certificates, reasons),
        }
    }

    fn join(
        &self,
        user: &FoundUser,
        (username, held): (Username, &HeldUser),
        mut certificates: Vec<NewCertificate>,
        reasons: &mut Vec<String>,
    ) -> Decided {
        if held.has_access && !self.is_let_in(user) {
            return Decided::conflict(reasons, not_let_in(&username));
        }
        if certificates.is_empty() {
            reasons.push("a user of this name is here, and the source has no certificate to add".to_owned());
            return Decided::of(username, Outcome::Unchanged, Work::None);
        }
        if held.pool != self.source.pool {
            let reason = format!(
                "the user {username} is in the pool {}, and the node in {}: all nodes of a user are in one pool",
                held.pool, self.source.pool
            );
            return Decided::conflict(reasons, reason);
        }
        reasons.push(format!("the user {username} is here, with the home {}", held.home));
        if !held.has_access {
            reasons.push(format!(
                "{username} has no access here, and so the old profile has none"
            ));
        }
        if !held.group.is_default() {
            reasons.push(format!(
                "members of the group {} are not let in at the old listener: the old profile ends",
                held.group
            ));
        }
        // Her access on this server ends then, whatever she has on others.
        if let Some(end) = user.expires_at {
            reasons.push(format!(
                "the old profile ends at {}, as access does in the source",
                shown_time(end)
            ));
            for certificate in &mut certificates {
                certificate.expires_at = Some(certificate.expires_at.map_or(end, |until| until.min(end)));
            }
        }
        let amendment = Amendment {
            add: certificates,
            ..Amendment::of(held.id)
        };
        Decided::of(username, Outcome::Joined, Work::Amend(amendment))
    }

    fn rename(
        &self,
        user: &FoundUser,
        username: &Username,
        certificates: Vec<NewCertificate>,
        reasons: &mut Vec<String>,
    ) -> Decided {
        let Some(other) = renamed(username, self.source.node) else {
            let reason = format!("there is a user {username}, and the name with the node behind it is too long");
            return Decided::conflict(reasons, reason);
        };
        if self.usernames.contains(&other) || self.names.contains(other.as_str()) {
            return Decided::conflict(reasons, format!("another user of the source is {other} already"));
        }
        match self.held.users.get(&other) {
            None => {
                reasons.push(format!("there is a user {username} with another home"));
                create(user, other, certificates, reasons)
            }
            Some(held) if held.home == *self.source.node => self.join(user, (other, held), certificates, reasons),
            Some(_) => Decided::conflict(reasons, format!("there are users {username} and {other}")),
        }
    }
}

fn create(
    user: &FoundUser,
    username: Username,
    certificates: Vec<NewCertificate>,
    reasons: &mut Vec<String>,
) -> Decided {
    if user.certificates.is_empty() {
        reasons.push("the source has no certificate of this user, who needs the new profile".to_owned());
    }
    if let Some(client) = &user.client {
        reasons.extend(kept_at_old_listener(client));
    }
    let newcomer = Newcomer {
        username: username.clone(),
        active: user.active,
        expires_at: user.expires_at,
        created_at: user.created_at,
        last_access: user.last_access,
        certificates,
    };
    Decided::of(username, Outcome::Created, Work::Create(Box::new(newcomer)))
}
