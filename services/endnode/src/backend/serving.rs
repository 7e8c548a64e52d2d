//! What the agent wants of the server.

/// Whether this node should answer clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// Not known yet: leave alone what runs, start nothing.
    Undecided,
    /// The allow-list is complete: the server should run.
    Yes,
    /// This node must not serve: stop a server that the agent runs, so that its clients move to their next node by themselves, and
    /// send away whoever is with one that it does not run.
    No,
}
