//! A webhook as the audit trail shows it.

use reqwest::Url;
use serde_json::{Value, json};
use vpnmanager_entities::webhook;

/// The state of a webhook, for `before` and `after`: neither its secret, nor more of its URL than the server, because the rest may be as good as a key.
pub(super) fn webhook_snapshot(webhook: &webhook::Model) -> Value {
    json!({
        "id": webhook.id,
        "server": server_of(&webhook.url),
        "types": webhook.types,
        "subjects": webhook.subjects,
        "enabled": webhook.enabled,
    })
}

fn server_of(url: &str) -> String {
    let parsed = Url::parse(url).ok();
    parsed.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_of_a_url_is_shown() {
        assert_eq!(
            server_of("https://hooks.example.com:8443/T0/SECRET?key=1"),
            "https://hooks.example.com:8443"
        );
        assert_eq!(server_of("nonsense"), "");
    }
}
