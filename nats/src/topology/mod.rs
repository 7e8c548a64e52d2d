//! Streams and consumers: created when absent, compared when present, never deleted because they look wrong.

mod error;
mod names;
mod options;
mod version;

mod ensure;
mod lag;
mod look;
mod shapes;
mod streams;
mod upgrade;

pub use error::TopologyError;
pub use lag::Waiting;
pub use names::{COMMANDS, EVENTS, EVENTS_CONSUMER, MANAGEMENT_GROUP, NODE_API_PREFIX, reports_stream};
pub use options::TopologyOptions;
pub use shapes::{LARGEST_REPORT, REPORTS_ROOM};
pub use streams::{HeldCommand, Topology};
pub use version::{OLDEST_SERVER, check_version};
