//! Configuration in layers: flag, environment, file, credential of the unit (secrets only), default.
//!
//! A service declares its [`Setting`]s in a table and its structs with serde; everything else (flags, `--help`, `*_FILE` variants
//! of secrets, messages, `--print-config`, the sample file) follows from the two.

mod api_key;
mod command_line;
mod error;
mod layers;
mod manual;
mod masking;
mod quotes;
mod sample;
mod service_link;
mod setting;
mod shown;
#[cfg(test)]
mod tests;
mod unknown;

pub use api_key::{EXPECTED_KEY, SHORTEST_KEY, is_placeholder, random_key, weakness};
pub use command_line::{Cli, Service};
pub use error::ConfigError;
pub use manual::ManualArgs;
pub use masking::{MASK, masked};
pub use setting::Setting;
pub use shown::ShownSetting;
