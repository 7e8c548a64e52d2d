//! Where a webhook sends.

use std::net::IpAddr;

use reqwest::Url;

use crate::{config::WebhooksConfig, domain::receiver_address::is_public};

/// Why nothing is sent to a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It is no URL of a web server.
    #[error("it is not a URL that can be sent to: {0}")]
    Unreadable(String),
    /// It has a name and a password.
    #[error("it has a user or a password, which is not sent: messages are signed instead")]
    Credentials,
    /// It has no TLS.
    #[error("it is not https://, and WEBHOOK_PLAIN_HTTP is not true")]
    PlainHttp,
    /// It leads into a network that is not public.
    #[error("it leads to {0}, which is not a public address, and WEBHOOK_PRIVATE_ADDRESSES does not name it")]
    Private(IpAddr),
}

/// The URL, if messages may be sent there as far as it shows. The addresses of a name are checked when it is resolved.
pub fn checked(url: &str, config: &WebhooksConfig) -> Result<Url, TargetError> {
    let url = Url::parse(url).map_err(|error| TargetError::Unreadable(error.to_string()))?;
    match url.scheme() {
        "https" => {}
        "http" if config.plain_http => {}
        "http" => return Err(TargetError::PlainHttp),
        _ => return Err(TargetError::Unreadable("it is neither https nor http".to_owned())),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    match url.host_str() {
        None => Err(TargetError::Unreadable("it has no host".to_owned())),
        Some(host) => match address_in(host) {
            Some(address) => check_address(address, config).map(|()| url),
            None => Ok(url),
        },
    }
}

/// Whether messages may be sent to this address.
pub(super) fn check_address(address: IpAddr, config: &WebhooksConfig) -> Result<(), TargetError> {
    if is_public(address) || config.private_addresses.contains(address) {
        Ok(())
    } else {
        Err(TargetError::Private(address))
    }
}

/// The address that stands in place of a name. The parser of URLs has written each form of one in the usual way.
fn address_in(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PrivateAddresses;

    #[test]
    fn a_url_shows_whether_it_may_be_sent_to() {
        let strict = WebhooksConfig {
            private_addresses: PrivateAddresses::None,
            plain_http: false,
        };
        let private = |address: &str| Some(TargetError::Private(address.parse().unwrap()));
        for (url, error) in [
            ("https://hooks.example.com/a?b=c", None),
            ("https://hooks.example.com:8443", None),
            ("https://8.8.8.8/", None),
            ("http://hooks.example.com", Some(TargetError::PlainHttp)),
            ("https://user:word@hooks.example.com", Some(TargetError::Credentials)),
            ("https://127.0.0.1/", private("127.0.0.1")),
            ("https://2130706433/", private("127.0.0.1")),
            ("https://0x7f.1/", private("127.0.0.1")),
            ("https://017700000001/", private("127.0.0.1")),
            ("https://[::1]:8080/", private("::1")),
            ("https://[::ffff:169.254.169.254]/", private("::ffff:169.254.169.254")),
            ("https://169.254.169.254/latest/meta-data", private("169.254.169.254")),
            ("https://10.0.0.1", private("10.0.0.1")),
        ] {
            assert_eq!(checked(url, &strict).err(), error, "{url}");
        }
        for url in [
            "ftp://hooks.example.com",
            "https://",
            "hooks.example.com",
            "https://1.2.3.4.5/",
        ] {
            assert!(
                matches!(checked(url, &strict), Err(TargetError::Unreadable(_))),
                "{url}"
            );
        }
        let lax = WebhooksConfig {
            private_addresses: PrivateAddresses::try_from(vec!["127.0.0.0/8".to_owned()]).unwrap(),
            plain_http: true,
        };
        assert!(checked("http://127.0.0.1:1/x", &lax).is_ok());
        assert_eq!(checked("http://[::1]/", &lax).err(), private("::1"));
    }
}
