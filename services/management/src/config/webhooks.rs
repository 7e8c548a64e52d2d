//! Where webhooks may send.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use vpnmanager_openapi::server::{InvalidNetwork, Network};
use vpnmanager_runtime::config::Setting;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "webhooks.private_addresses",
        "WEBHOOK_PRIVATE_ADDRESSES",
        "Addresses to which webhooks may send although they are not public",
        "true for all of them, or a comma list of addresses such as 10.1.2.3 and prefixes such as 10.0.0.0/8",
    )
    .list(),
    Setting::new(
        "webhooks.plain_http",
        "WEBHOOK_PLAIN_HTTP",
        "Whether webhooks may send without TLS",
        "true or false",
    )
    .default("false"),
];

/// Where webhooks may send.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct WebhooksConfig {
    /// WEBHOOK_PRIVATE_ADDRESSES: none by default.
    #[serde(default)]
    pub private_addresses: PrivateAddresses,
    /// WEBHOOK_PLAIN_HTTP.
    pub plain_http: bool,
}

/// Addresses that are not public, to which webhooks may send.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum PrivateAddresses {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// These.
    Of(Vec<Network>),
}

impl PrivateAddresses {
    /// Whether this address, which is not public, is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Of(networks) => networks.iter().any(|network| network.contains(address)),
        }
    }
}

impl TryFrom<Vec<String>> for PrivateAddresses {
    type Error = InvalidNetwork;

    fn try_from(texts: Vec<String>) -> Result<Self, InvalidNetwork> {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        match texts.as_slice() {
            [] | ["false"] => Ok(Self::None),
            ["true"] => Ok(Self::All),
            networks => networks
                .iter()
                .map(|network| network.parse::<Network>())
                .collect::<Result<_, _>>()
                .map(Self::Of),
        }
    }
}

impl From<PrivateAddresses> for Vec<String> {
    fn from(addresses: PrivateAddresses) -> Self {
        match addresses {
            PrivateAddresses::None => Vec::new(),
            PrivateAddresses::All => vec!["true".to_owned()],
            PrivateAddresses::Of(networks) => networks.iter().map(ToString::to_string).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_some_or_no_private_addresses_are_allowed() {
        let allowed = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            let addresses = PrivateAddresses::try_from(texts.clone()).expect("addresses");
            assert!(texts == ["false"] || Vec::<String>::from(addresses.clone()) == texts);
            ["10.1.2.3", "10.2.0.1", "::1"].map(|address| addresses.contains(address.parse().unwrap()))
        };
        assert_eq!(allowed(&[]), [false, false, false]);
        assert_eq!(allowed(&["false"]), [false, false, false]);
        assert_eq!(allowed(&["true"]), [true, true, true]);
        assert_eq!(allowed(&["10.1.0.0/16", "::1"]), [true, false, true]);
        assert!(PrivateAddresses::try_from(vec!["yes".to_owned()]).is_err());
    }
}
