//! What is asked of an import, and why it is not done.

use sea_orm::DbErr;
use vpnmanager_nats::ids::NodeId;

use super::source::SourceRead;
use crate::{
    domain::{actor::Actor, import::policies::Policies},
    ops::users::create::CreateUserError,
};

/// What to import.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The node that the source is of.
    pub node: &'a NodeId,
    /// What the source is called.
    pub source: &'a str,
    /// What was found in it.
    pub read: &'a SourceRead,
    /// What was decided beforehand.
    pub policies: &'a Policies,
    /// Who asked for it.
    pub actor: &'a Actor,
    /// Whether all is only tried: the report says what would happen, and nothing is changed.
    pub is_trial: bool,
}

/// How far an import is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Users that were created or changed.
    pub done: usize,
    /// All that are to be.
    pub total: usize,
}

/// Hears how far it is.
pub type OnProgress<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Why a source was not imported. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// There is no such node, or it was deregistered.
    #[error("there is no server {0}: start its agent first, so that it enrols")]
    UnknownNode(NodeId),
    /// It is on its way into another pool, or out of the fleet.
    #[error("the server {0} is about to leave its pool: import when it has")]
    NodeLeaves(NodeId),
    /// Old certificates would never be accepted.
    #[error("until when old certificates are accepted must be in the future")]
    OldUntilPassed,
    /// No user can be created there, or in the group.
    #[error("creating the users failed")]
    Create(#[source] CreateUserError),
    /// The database failed.
    #[error("recording the import failed")]
    Database(#[from] DbErr),
}

/// How far it is, for who wants to hear it.
pub(super) struct Step<'a> {
    on_progress: OnProgress<'a>,
    progress: Progress,
}

impl<'a> Step<'a> {
    /// Nothing of so many is done.
    pub(super) fn first(on_progress: OnProgress<'a>, total: usize) -> Self {
        Self {
            on_progress,
            progress: Progress { done: 0, total },
        }
    }

    /// So many more are done.
    pub(super) fn done(&mut self, more: usize) {
        self.progress.done += more;
        (self.on_progress)(self.progress);
    }
}
