//! The review as a terminal shows it.

use std::fmt::{self, Write as _};

use vpnmanager_nats::{
    ids::{CommonName, NodeId},
    username::Username,
};

use super::review::{EndedOldCertificate, EndedUser, OnServer, Review};
use crate::domain::shown_time::shown_time;

/// The most names in one line.
const NAMED: usize = 20;

/// A line with a number and the first names, where there are any.
fn line(f: &mut fmt::Formatter<'_>, what: &str, names: &[String]) -> fmt::Result {
    if names.is_empty() {
        return Ok(());
    }
    let mut shown = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED {
        write!(shown, " and {} more (--json names all)", names.len() - NAMED)?;
    }
    writeln!(f, "  {:>6}  {what}\n          {shown}", names.len())
}

impl fmt::Display for Review {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Backup {}, made {}, {} users.",
            self.source,
            shown_time(self.made_at),
            self.users
        )?;
        if self.is_calm() {
            writeln!(f, "Of no user the fleet is known to hold something newer.")?;
        }
        self.tell_of_ends(f)?;
        self.tell_of_the_rest(f)?;
        if self.unreadable_commands > 0 {
            writeln!(
                f,
                "  {:>6}  commands in the bus could not be read",
                self.unreadable_commands
            )?;
        }
        if !self.silent_servers.is_empty() && self.bus_is_the_same {
            writeln!(
                f,
                "The bus still has what it had: what these servers were told is known from it."
            )?;
        }
        line(
            f,
            "API keys are valid as the backup says: delete again those that were deleted since",
            &self.api_keys,
        )
    }
}

impl Review {
    fn is_calm(&self) -> bool {
        let users = [&self.newer, &self.removed, &self.perhaps_removed];
        users.iter().all(|users| users.is_empty())
            && self.ended.is_empty()
            && self.moved.is_empty()
            && self.unknown_users.is_empty()
            && self.unknown_servers.is_empty()
    }

    fn tell_of_ends(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "users were removed since", &names(&self.removed))?;
        line(
            f,
            "users are nowhere for certain, and may have been removed: they are suspended, not removed",
            &names(&self.perhaps_removed),
        )?;
        line(
            f,
            "users are not on their servers any more, and on another one by its word alone: they are suspended, or --believe-moves",
            &on_servers(&self.moved),
        )?;
        let ended: Vec<String> = self.ended.iter().map(EndedUser::told).collect();
        line(f, "users lost access since, or part of it", &ended)?;
        line(
            f,
            "users hold more than a server can tell at once: what of it was revoked since is not known, and works again",
            &names(&self.told_in_part),
        )?;
        line(
            f,
            "users were given more since: give it again by hand",
            &names(&self.given),
        )?;
        line(
            f,
            "users have a newer state that takes nothing from them",
            &names(&self.newer),
        )
    }

    fn tell_of_the_rest(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let profiles = self.new_profiles.iter();
        let profiles: Vec<String> = profiles.map(|new| told(&new.username, &new.credentials)).collect();
        line(
            f,
            "users have profiles made since, which stop working: give them new ones",
            &profiles,
        )?;
        let old = self.new_old_certificates.iter();
        let old: Vec<String> = old
            .map(|new| format!("{} ({} on {})", new.username, new.common_name, new.server_id))
            .collect();
        line(
            f,
            "old certificates were imported since, and stop working: import the old server again",
            &old,
        )?;
        let strangers = self.unknown_users.iter();
        let strangers: Vec<String> = strangers.map(|new| told(&new.username, &new.credentials)).collect();
        line(
            f,
            "users are unknown to the file: they lose access and cannot be made again from what is there, create them anew",
            &strangers,
        )?;
        line(
            f,
            "users are on a server by its word alone, beside those that they are on: it is not believed",
            &on_servers(&self.disbelieved),
        )?;
        line(
            f,
            "servers enrolled since: enrol them again",
            &ids(&self.unknown_servers),
        )?;
        line(
            f,
            "servers have nothing on the bus any more: deregister again those that were deregistered since",
            &ids(&self.vanished_servers),
        )?;
        let silent = self.silent_servers.iter();
        let silent: Vec<String> = silent
            .map(|silent| format!("{} ({})", silent.server_id, silent.why))
            .collect();
        line(f, "servers do not tell what they hold", &silent)
    }
}

fn names(users: &[Username]) -> Vec<String> {
    users.iter().map(ToString::to_string).collect()
}

fn ids(nodes: &[NodeId]) -> Vec<String> {
    nodes.iter().map(ToString::to_string).collect()
}

fn on_servers(users: &[OnServer]) -> Vec<String> {
    let users = users.iter();
    users
        .map(|user| format!("{} ({})", user.username, user.server_id))
        .collect()
}

fn told(username: &Username, credentials: &[CommonName]) -> String {
    let names: Vec<&str> = credentials.iter().map(CommonName::as_str).collect();
    format!("{username} ({})", names.join(" "))
}

impl EndedUser {
    fn told(&self) -> String {
        let suspended = self.suspended.then(|| "suspended".to_owned());
        let ends = self.expires_at.map(|end| format!("until {}", shown_time(end)));
        let revoked = (!self.revoked.is_empty()).then(|| {
            let names: Vec<&str> = self.revoked.iter().map(CommonName::as_str).collect();
            format!("revoked {}", names.join(" "))
        });
        let old = self.old_certificates.iter().map(EndedOldCertificate::told);
        let told = [suspended, ends, revoked].into_iter().flatten();
        let told: Vec<String> = told.chain(old).collect();
        format!("{} ({})", self.username, told.join(", "))
    }
}

impl EndedOldCertificate {
    fn told(&self) -> String {
        let name = format!("old certificate {} of {}", self.common_name, self.server_id);
        let ends = self.expires_at.map(|end| format!(" until {}", shown_time(end)));
        let serials = self.revoked_serials.len();
        match self.revoked {
            true => format!("revoked {name}"),
            false if serials > 0 => format!("{name}{}, {serials} serial numbers revoked", ends.unwrap_or_default()),
            false => format!("{name}{}", ends.unwrap_or_default()),
        }
    }
}
