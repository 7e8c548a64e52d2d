//! What a run does.

use std::path::PathBuf;

use clap::Args;

use super::{
    catalogue::{ATTACKS, Attack},
    size::Size,
};

#[derive(Debug, Clone, Args)]
pub(crate) struct AttackFleet {
    /// Only the attacks whose name has this in it; several, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The short form: less of everything, and no bound that depends on speed
    #[arg(long)]
    short: bool,
    /// List the attacks and do nothing
    #[arg(long)]
    pub(super) list: bool,
    /// Folder for the result, a JSON file
    #[arg(long, default_value = "target/attack")]
    pub(super) out: PathBuf,
}

impl AttackFleet {
    /// The attacks of this run.
    pub(super) fn attacks(&self) -> Vec<&'static Attack> {
        let wanted =
            |attack: &&Attack| self.only.is_empty() || self.only.iter().any(|part| attack.name.contains(part.as_str()));
        ATTACKS.iter().filter(wanted).collect()
    }

    pub(super) fn size(&self) -> Size {
        if self.short { Size::Short } else { Size::Full }
    }
}
