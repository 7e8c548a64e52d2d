//! The flags that say beforehand what becomes of what an import meets.

use chrono::{DateTime, Utc};
use clap::Args;
use vpnmanager_nats::groups::GroupName;

use crate::domain::import::policies::{Ended, InvalidEnd, Policies, RefusedNames, SameName, TwoCertificates, end_of};

/// The policies as flags.
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    /// Who has the name of a user of another server: join (one user, with one more old certificate), skip, or rename (with the node behind the name)
    #[arg(long, value_name = "POLICY", default_value_t)]
    same_name: SameName,
    /// Names that usernames refuse: skip, or replace (each character that is refused becomes a dash)
    #[arg(long, value_name = "POLICY", default_value_t)]
    refused_names: RefusedNames,
    /// Who has no access any more, or whose certificates have ended: skip, or import
    #[arg(long, value_name = "POLICY", default_value_t)]
    expired: Ended,
    /// Several valid certificates of one name: keep (all are accepted), or newest (the others are revoked)
    #[arg(long, value_name = "POLICY", default_value_t)]
    two_certificates: TwoCertificates,
    /// The group of the users that are created
    #[arg(long, value_name = "GROUP", default_value_t)]
    group: GroupName,
    /// Until when old profiles are accepted: a day, a time, or how long from now such as 90days; as long as they are valid when it is not given
    #[arg(long, value_name = "END", value_parser = end)]
    old_until: Option<DateTime<Utc>>,
}

impl PolicyArgs {
    pub(super) fn policies(&self) -> Policies {
        Policies {
            same_name: self.same_name,
            refused_names: self.refused_names,
            ended: self.expired,
            two_certificates: self.two_certificates,
            group: self.group.clone(),
            old_until: self.old_until,
        }
    }
}

fn end(text: &str) -> Result<DateTime<Utc>, InvalidEnd> {
    end_of(text, Utc::now())
}
