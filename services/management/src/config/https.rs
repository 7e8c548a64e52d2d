//! Where management is reached, and how it is served there.

use std::net::IpAddr;

use vpnmanager_openapi::server::tls::is_on_loopback;
use vpnmanager_runtime::config::{Cli, ConfigError};

use super::Config;
use super::public_url::PublicUrl;

/// What a certificate of management's own is for in any case: callers on its machine.
const LOCAL_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

impl Config {
    /// PUBLIC_URL, or the first of PUBLIC_URLS.
    pub fn public_url(&self) -> Option<&PublicUrl> {
        self.public_url
            .as_ref()
            .or_else(|| self.public_urls.as_deref()?.first())
    }

    /// The hosts of public URLs with https, and this machine's own.
    pub fn https_names(&self) -> Vec<String> {
        let public = self.public_https_names();
        let mut names: Vec<String> = Vec::new();
        for name in public.chain(LOCAL_NAMES) {
            let name = name
                .parse::<IpAddr>()
                .map_or_else(|_| name.to_ascii_lowercase(), |address| address.to_string());
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn public_https_names(&self) -> impl Iterator<Item = &str> {
        let urls = self.public_url.iter().chain(self.public_urls.iter().flatten());
        urls.filter_map(PublicUrl::https_name)
    }

    /// Whether the API is served with a certificate that management makes itself: no other one is named, nobody said that HTTP may be in the
    /// clear, it is known what the certificate is for, and other machines reach the API, or it was asked for.
    pub fn makes_own_certificate(&self) -> bool {
        let is_named = self.tls.files().is_some();
        let is_wanted = self.tls_on_loopback || !self.listen.iter().all(|address| is_on_loopback(address));
        !is_named && !self.tls.allow_plain_http && is_wanted && self.public_https_names().next().is_some()
    }

    /// Checks that nothing is served in the clear to other machines, unless somebody said so. Only who serves the API needs it.
    ///
    /// # Errors
    /// Names the setting that is missing.
    pub fn check_https<S>(&self, cli: &Cli<S>) -> Result<(), ConfigError> {
        let makes_own = self.makes_own_certificate();
        if self.tls_on_loopback && !makes_own && self.tls.files().is_none() {
            let reason = "there is no URL with https in PUBLIC_URLS that the certificate would be for, or ALLOW_PLAIN_HTTP says the contrary";
            return Err(cli.reject("tls_on_loopback", reason));
        }
        let way = "set PUBLIC_URLS to where management is reached, such as https://management.example.com:8080 (it makes itself a certificate then), ";
        self.tls.check(cli, &self.listen, makes_own, way)?;
        self.tls.check_figures(cli, self.metrics.addresses(), makes_own)
    }
}
