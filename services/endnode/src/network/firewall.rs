//! Our table in the machine's firewall, and the right to keep it.

use std::path::PathBuf;

use tracing::info;

use super::{
    claim::{Claim, ClaimError},
    nft::Nft,
    program::ProgramError,
    rules,
};

/// What one agent keeps in a network namespace. Nothing of it is undone when the agent ends.
#[derive(Debug)]
pub(super) struct Firewall {
    nft: Nft,
    claimed: String,
    claim: Option<Claim>,
    /// The rules that this run loaded.
    loaded: Option<Loaded>,
    /// Nothing of ours is in the firewall, or what lets nothing through: it is left alone.
    is_ended: bool,
    /// What the table does with what passes through the machine, as far as this run knows.
    way: Option<Way>,
    /// Rules could not be loaded, and those of before are not there any more either.
    is_lost: bool,
}

/// Rules that were loaded, and how nft prints them.
#[derive(Debug)]
struct Loaded {
    script: String,
    printed: String,
}

/// What rules do with what passes through the machine and is of no member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// They judge it: the pool has a network, or had one.
    Judged,
    /// They leave it to the machine.
    LeftAlone,
}

/// Whether rules had to be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loading {
    /// Those that are there are these.
    Unchanged,
    /// They are others than before.
    Changed,
    /// Somebody had changed them.
    PutBack,
}

/// The table is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(super) enum FirewallError {
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Nft(#[from] ProgramError),
}

impl Firewall {
    /// With this program; `claimed` is what the right is called. Changes nothing yet.
    pub(super) fn new(program: PathBuf, claimed: String) -> Self {
        Self {
            nft: Nft::new(program),
            claimed,
            claim: None,
            loaded: None,
            is_ended: false,
            way: None,
            is_lost: false,
        }
    }

    /// Loads these rules, unless they are there.
    pub(super) async fn keep(&mut self, script: String, way: Way) -> Result<Loading, FirewallError> {
        self.claim()?;
        self.is_ended = false;
        let mut loading = Loading::Changed;
        if let Some(loaded) = self.loaded.as_ref().filter(|loaded| loaded.script == script) {
            if self.nft.printed().await?.as_ref() == Some(&loaded.printed) {
                self.is_lost = false;
                return Ok(Loading::Unchanged);
            }
            loading = Loading::PutBack;
        }
        if let Err(error) = self.nft.load(&script).await {
            self.is_lost = self.has_lost().await;
            return Err(error.into());
        }
        self.is_lost = false;
        // Until it is known how nft prints them.
        self.loaded = None;
        let printed = self.nft.printed().await?.unwrap_or_default();
        self.loaded = Some(Loaded { script, printed });
        self.way = Some(way);
        Ok(loading)
    }

    /// Whether rules could not be loaded, and those of before are not there any more either. Where nft does not tell what is there, they are
    /// taken to be there.
    pub(super) fn is_lost(&self) -> bool {
        self.is_lost
    }

    async fn has_lost(&self) -> bool {
        match self.nft.printed().await {
            Ok(None) => true,
            Ok(Some(printed)) => self.loaded.as_ref().is_some_and(|loaded| loaded.printed != printed),
            Err(_unknown) => false,
        }
    }

    /// What the table does, which a run before this one may have loaded. A machine that has none is left alone.
    pub(super) async fn way(&self) -> Result<Way, FirewallError> {
        if let Some(way) = self.way {
            return Ok(way);
        }
        Ok(match self.nft.printed().await? {
            Some(printed) if !rules::is_of_members(&printed) => Way::Judged,
            Some(_) | None => Way::LeftAlone,
        })
    }

    /// Ends the rules, once: where a table is that judges, this script takes its place; where one leaves the machine alone, none does. A
    /// machine without a table is only looked at.
    pub(super) async fn end(&mut self, script: &str) -> Result<(), FirewallError> {
        if self.is_ended {
            return Ok(());
        }
        match self.claim() {
            Ok(()) => {}
            // The table is that agent's.
            Err(ClaimError::Taken) => return Ok(()),
            Err(error @ ClaimError::Bind(_)) => return Err(error.into()),
        }
        match self.replace(script).await {
            Ok(()) => {}
            // So no rules were made either.
            Err(ProgramError::NotInstalled { .. } | ProgramError::NotPermitted { .. }) if self.loaded.is_none() => {}
            Err(error) => return Err(error.into()),
        }
        (self.loaded, self.claim, self.way) = (None, None, None);
        self.is_lost = false;
        self.is_ended = true;
        Ok(())
    }

    /// The table is to be looked at again, though it was ended.
    pub(super) fn look_again(&mut self) {
        self.is_ended = false;
    }

    async fn replace(&self, script: &str) -> Result<(), ProgramError> {
        let Some(printed) = self.nft.printed().await? else {
            return Ok(());
        };
        match rules::is_of_members(&printed) {
            true => self.nft.load(&rules::removal()).await?,
            false => self.nft.load(script).await?,
        }
        info!("Ended the firewall rules of the pool's network");
        Ok(())
    }

    fn claim(&mut self) -> Result<(), ClaimError> {
        if self.claim.is_none() {
            self.claim = Some(Claim::take(&self.claimed)?);
        }
        Ok(())
    }
}
