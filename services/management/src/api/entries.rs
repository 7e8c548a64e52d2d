//! Entries of lists that are described by their form. Nothing is refused where it is read: whoever reads the list knows the place of an entry
//! (`faults.rs`).

use super::address::{ipv4, ipv6};

/// Declares an entry: its format, pattern, greatest length and example.
macro_rules! entry {
    ($(#[$docs:meta])* $vis:vis struct $name:ident, $format:literal, $pattern:expr, $most:expr, $example:literal) => {
        $(#[$docs])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        $vis struct $name($vis String);

        vpnmanager_openapi::scalar_impls! {
            $name, "string", $format,
            |schema| {
                schema.pattern = Some($pattern.to_owned());
                schema.min_length = Some(1);
                schema.max_length = Some($most);
                schema.example = Some(serde_json::Value::from($example));
            },
            |text| Ok::<_, String>($name(text.to_owned())),
            |value| serde_json::Value::from(value.0.as_str())
        }
    };
}

pub(super) use entry;

entry! {
    /// A network prefix.
    pub(super) struct PrefixText, "network-prefix",
    concat!("^(?:", ipv4!(), "/(?:[12]?[0-9]|3[0-2])|", ipv6!(), "/(?:[1-9]?[0-9]|1[01][0-9]|12[0-8]))$"),
    64, "10.20.0.0/16"
}
