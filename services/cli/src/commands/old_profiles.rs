//! What becomes of profiles that are replaced.

use clap::Args;
use serde_json::Value;

/// The flag that says it.
#[derive(Debug, Args)]
pub(crate) struct OldProfiles {
    /// What becomes of the profiles of before [default: keep]
    #[arg(long, value_parser = ["keep", "revoke"])]
    pub(crate) old_profiles: Option<String>,
}

impl OldProfiles {
    pub(crate) fn value(&self) -> Option<Value> {
        self.old_profiles.clone().map(Value::from)
    }

    /// Whether somebody may lose access.
    pub(crate) fn are_revoked(&self) -> bool {
        self.old_profiles.as_deref() == Some("revoke")
    }

    /// How a question says it.
    pub(crate) fn words(&self) -> &'static str {
        match self.are_revoked() {
            true => "and revoke the old ones at once",
            false => "and keep the old ones",
        }
    }
}
