//! The interface of management, with HTTPS where the stack has it.

use std::fs;

use super::State;
use crate::api::Api;

impl State {
    /// Management's API with a key or without. With HTTPS nobody is believed but the fleet's CA, and nobody before management has made it.
    #[must_use]
    pub fn api(&self, key: Option<&str>) -> Api {
        match self.trusting_client() {
            Some(client) => Api::with_client(self.management_url(), key, client),
            None => Api::new(self.management_url(), key),
        }
    }

    fn trusting_client(&self) -> Option<reqwest::Client> {
        if !self.tls {
            return None;
        }
        let authority = reqwest::Certificate::from_pem(&fs::read(self.ca_file()).ok()?).ok()?;
        reqwest::Client::builder().tls_certs_only([authority]).build().ok()
    }
}
