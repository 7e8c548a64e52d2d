//! The policies of an import as query parameters.

use std::str::FromStr as _;

use serde_json::Value;
use vpnmanager_openapi::scalar_impls;

use crate::domain::import::policies::{Ended, RefusedNames, SameName, TwoCertificates};

/// Declares a parameter for a policy: its words, the first of which is the default.
macro_rules! policy_text {
    ($(#[$docs:meta])* $name:ident, $policy:ident, $format:literal) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) struct $name(pub(super) $policy);

        scalar_impls! {
            $name, "string", $format,
            |schema| {
                schema.enum_items = $policy::ALL.iter().map(|policy| Value::from(policy.as_str())).collect();
                schema.default = Some(Value::from($policy::default().as_str()));
                schema.example = Some(Value::from($policy::default().as_str()));
            },
            |text| $policy::from_str(text).map($name),
            |value| Value::from(value.0.as_str())
        }
    };
}

policy_text! {
    /// [`SameName`].
    SameNameText, SameName, "same-name"
}
policy_text! {
    /// [`RefusedNames`].
    RefusedNamesText, RefusedNames, "refused-names"
}
policy_text! {
    /// [`Ended`].
    ExpiredText, Ended, "expired"
}
policy_text! {
    /// [`TwoCertificates`].
    TwoCertificatesText, TwoCertificates, "two-certificates"
}
