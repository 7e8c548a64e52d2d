//! What the agent wants of the server.

/// Whether this node should answer clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// Not known yet: leave alone what runs, start nothing.
    Undecided,
    /// The allow-list is complete: the server should run.
    Yes,
    /// This node must not serve: stop the server, so that its clients move to their next node by themselves.
    No,
}
