//! Nodes that leave, are drained, die and return, on whole stacks with real tunnels.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

mod cloned;
mod credential_ends;
mod drain;
mod external;
mod fifty;
mod joined;
mod lost;
mod retired;
