//! Where a URL leads.

use reqwest::Url;

/// Whether something can be asked there at all.
pub(crate) fn is_web(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
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
}
