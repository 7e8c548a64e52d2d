//! A whole VPN Manager: PostgreSQL, nats-server, management and nodes with real OpenVPN in network namespaces.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use vpnmanager_testbed::stack::{Part, Stack, StackOptions};
//!
//! let mut stack = Stack::start(StackOptions { nodes: 2, ..StackOptions::default() }).await?;
//! stack.api().create_user("alice", Some(std::time::Duration::from_secs(5))).await?.expect(201)?;
//! let alice = stack.connect("alice").await?;
//! stack.kill_part(Part::Node(1)).await?;
//! # drop(alice);
//! # Ok(())
//! # }
//! ```
//! A stack that `Stack::start` builds for a test ends with the test. `make up` keeps its stack and writes its state to a
//! file, which [`Stack::attach`] reads.

mod add_node;
mod build;
mod connect;
mod control;
mod down;
mod env_file;
mod error;
mod examine;
mod external;
mod further;
mod http;
mod listener;
mod new_node;
mod node;
mod options;
mod part;
mod records;
mod service;
mod service_state;
mod spec;
mod state;

pub use build::Stack;
pub use connect::Connection;
pub use error::StackError;
pub use listener::{Listener, Transport};
pub use node::Node;
pub use options::{BusPorts, Lifetime, NodeMode, StackOptions, Step};
pub use part::Part;
pub use service_state::{SERVICE_IPERF, SERVICE_NAME, ServiceState};
pub use state::{ReplicaState, State};
