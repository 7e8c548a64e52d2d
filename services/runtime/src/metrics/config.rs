//! Where figures are served, and to whom.

use std::net::IpAddr;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::{Cli, ConfigError, EXPECTED_KEY, Setting, weakness};

/// The settings of [`MetricsConfig`], for a service's list of tables.
pub const SETTINGS: &[Setting] = &[
    Setting::new(
        "metrics.listen",
        "METRICS_LISTEN",
        "Addresses of /metrics; without it there are no figures",
        "a comma list of host:port",
    )
    .list(),
    Setting::new(
        "metrics.key",
        "METRICS_KEY",
        "The key that whoever reads /metrics presents as a bearer token",
        EXPECTED_KEY,
    )
    .secret(),
];

/// The `metrics` section of a service's configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MetricsConfig {
    /// METRICS_LISTEN: nowhere by default.
    #[serde(default)]
    pub listen: Option<Vec<String>>,
    /// METRICS_KEY, or the file named by METRICS_KEY_FILE; not needed where only this machine can connect.
    #[serde(default, serialize_with = "crate::config::masked")]
    pub key: Option<SecretString>,
}

impl MetricsConfig {
    /// Where figures are served; nowhere where it is empty.
    #[must_use]
    pub fn addresses(&self) -> &[String] {
        self.listen.as_deref().unwrap_or_default()
    }

    /// Checks the values.
    ///
    /// # Errors
    /// An address that is none, a weak key, or none where others than this machine can connect.
    pub fn check<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        if let Some(reason) = self.key.as_ref().and_then(|key| weakness(key.expose_secret())) {
            return Err(cli.reject("metrics.key", reason));
        }
        match self.fault() {
            Some(reason) => Err(cli.reject("metrics.listen", reason)),
            None => Ok(()),
        }
    }

    fn fault(&self) -> Option<String> {
        self.addresses().iter().find_map(|address| match host(address) {
            None => Some(format!("{address} is not host:port")),
            Some(host) if self.key.is_none() && !is_loopback(host) => Some(format!(
                "whoever reaches {address} could read the figures: give METRICS_KEY too, or listen on 127.0.0.1"
            )),
            Some(_) => None,
        })
    }
}

fn host(address: &str) -> Option<&str> {
    let (host, port) = address.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    (!host.is_empty()).then_some(host)
}

fn is_loopback(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(address: &str, key: Option<&str>) -> Option<String> {
        let config = MetricsConfig {
            listen: Some(vec![address.to_owned()]),
            key: key.map(SecretString::from),
        };
        config.fault()
    }

    #[test]
    fn without_a_key_only_this_machine_may_read() {
        for near in ["127.0.0.1:9470", "127.8.0.1:1", "[::1]:9470", "localhost:9470"] {
            assert_eq!(fault(near, None), None, "{near}");
        }
        for far in ["0.0.0.0:9470", "[::]:9470", "192.0.2.7:9470", "monitor.example:9470"] {
            let reason = fault(far, None).unwrap_or_else(|| panic!("{far} is accepted"));
            assert!(reason.contains(far) && reason.contains("METRICS_KEY"), "{reason}");
            assert_eq!(fault(far, Some("any")), None, "{far}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for wrong in ["", ":9470", "127.0.0.1", "127.0.0.1:x"] {
            assert!(fault(wrong, Some("any")).is_some(), "{wrong}");
        }
        assert_eq!(MetricsConfig::default().fault(), None);
    }
}
