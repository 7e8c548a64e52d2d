//! Where users reach the pages of management.

use serde::{Deserialize, Serialize};
use vpnmanager_openapi::server::is_host;
use vpnmanager_runtime::config::Setting;

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "public_urls",
        "PUBLIC_URLS",
        "Where management is reached: the certificate that it makes itself has the hosts of those with https",
        "a comma list of URLs such as https://management.example.com:8080, without a query",
    )
    .list(),
    Setting::new(
        "tls_on_loopback",
        "TLS_ON_LOOPBACK",
        "Whether management makes itself a certificate also where only this machine reaches it",
        "true or false",
    )
    .default("false"),
];

/// The beginning of URLs that management gives to users: scheme, host, and a path where a proxy has one. Nothing in it needs escaping in a
/// page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicUrl(String);

/// Why a text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be http:// or https://, a host, perhaps a port and a path, and nothing else")]
pub struct NoPublicUrl;

impl PublicUrl {
    /// The URL of a path, which begins with a slash.
    #[must_use]
    pub fn with(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The name or address that a certificate must have for it; `None`: it is no HTTPS.
    #[must_use]
    pub fn https_name(&self) -> Option<&str> {
        let rest = self.0.strip_prefix("https://")?;
        let host = rest.split('/').next().unwrap_or(rest);
        match host.strip_prefix('[') {
            Some(address) => address.split(']').next(),
            None => host.split(':').next(),
        }
    }

    /// The path that a proxy in front puts before management's own: nothing, or one that begins with a slash.
    #[must_use]
    pub fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
    }
}

impl TryFrom<String> for PublicUrl {
    type Error = NoPublicUrl;

    fn try_from(text: String) -> Result<Self, NoPublicUrl> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let rest = rest.ok_or(NoPublicUrl)?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_host_byte = |byte: u8| is_plain(byte) || b":[]".contains(&byte);
        let fits = !host.is_empty()
            && !host.starts_with(':')
            && host.bytes().all(is_host_byte)
            && is_host(host.as_bytes())
            && path.bytes().all(|byte| is_plain(byte) || byte == b'/');
        if !fits {
            return Err(NoPublicUrl);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl From<PublicUrl> for String {
    fn from(url: PublicUrl) -> Self {
        url.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_the_host_alone() {
        for (text, name, path) in [
            ("https://vpn.example", Some("vpn.example"), ""),
            ("https://vpn.example:8443/vpn/", Some("vpn.example"), "/vpn"),
            ("https://192.0.2.7:8443", Some("192.0.2.7"), ""),
            ("https://[2001:db8::1]:8443/a/b", Some("2001:db8::1"), "/a/b"),
            ("http://vpn.example/vpn", None, "/vpn"),
        ] {
            let url = PublicUrl::try_from(text.to_owned()).unwrap();
            assert_eq!((url.https_name(), url.path()), (name, path), "{text}");
        }
    }

    #[test]
    fn a_public_url_is_a_place_and_nothing_else() {
        for (text, page) in [
            ("https://vpn.example", Some("https://vpn.example/p/x")),
            ("https://vpn.example/", Some("https://vpn.example/p/x")),
            ("http://192.0.2.7:8080", Some("http://192.0.2.7:8080/p/x")),
            (
                "https://[2001:db8::1]:8443/vpn/",
                Some("https://[2001:db8::1]:8443/vpn/p/x"),
            ),
            ("vpn.example", None),
            ("ftp://vpn.example", None),
            ("https://", None),
            ("https:///p", None),
            ("https://:8080", None),
            ("https://user@vpn.example", None),
            ("https://vpn.example?a=b", None),
            ("https://vpn.example/#a", None),
            ("https://vpn.example/\"><script>", None),
            ("https://vpn.example/a b", None),
        ] {
            let url = PublicUrl::try_from(text.to_owned()).ok().map(|url| url.with("/p/x"));
            assert_eq!(url.as_deref(), page, "{text}");
        }
    }
}
