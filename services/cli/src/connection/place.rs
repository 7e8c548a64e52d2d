//! Where a URL leads.

use std::net::IpAddr;

use reqwest::Url;

/// Whether a URL leads to this machine, so that nothing of what is sent there leaves it.
pub(crate) fn stays_here(url: &str) -> bool {
    let url = Url::parse(url).ok();
    let Some(host) = url.as_ref().and_then(Url::host_str) else {
        return false;
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(is_loopback)
}

/// Whether something can be asked there at all.
pub(crate) fn is_web(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

/// Whether whoever listens on the way sees the key.
pub(crate) fn is_in_the_clear(url: &str) -> bool {
    let is_plain = Url::parse(url).is_ok_and(|url| url.scheme() == "http");
    is_plain && !stays_here(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_scheme_is_no_url() {
        assert!(is_web("https://management.example.org:8080"));
        assert!(is_web("HTTP://192.0.2.7"));
        for url in [
            "127.0.0.1:8080",
            "localhost:8080",
            "management.example.org",
            "ftp://a",
            "https://",
            "",
        ] {
            assert!(!is_web(url), "{url}");
        }
    }

    #[test]
    fn a_key_is_in_the_clear_over_plain_http_unless_it_stays_on_the_machine() {
        for (url, here, clear) in [
            ("http://management.example.org:8080", false, true),
            ("https://management.example.org", false, false),
            ("http://127.0.0.1:8080", true, false),
            ("http://127.8.8.8", true, false),
            ("http://localhost:8080/vpn", true, false),
            ("https://LOCALHOST", true, false),
            ("http://[::1]:8080", true, false),
            ("http://[::ffff:127.0.0.1]", true, false),
            ("http://127.0.0.1.example.org", false, true),
            ("http://localhost.example.org", false, true),
            ("http://127.0.0.1@192.0.2.7", false, true),
            ("HTTP://192.0.2.7", false, true),
            ("no URL", false, false),
        ] {
            assert_eq!((stays_here(url), is_in_the_clear(url)), (here, clear), "{url}");
        }
    }
}
