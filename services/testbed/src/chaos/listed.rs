//! The users as the API shows them.

use std::collections::BTreeMap;

use serde_json::Value;
use vpnmanager_testbed::api::Api;

/// A user as the API shows it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) user: Value,
    /// What it is held to.
    pub(super) effective: Value,
    /// Its devices.
    pub(super) devices: Vec<Value>,
}

/// All users, by their names.
pub(super) async fn list_users(api: &Api) -> anyhow::Result<BTreeMap<String, Listed>> {
    let mut listed = BTreeMap::new();
    let mut query = "?limit=1000".to_owned();
    loop {
        let page = api.users(&query).await?.expect(200)?;
        for user in page.items() {
            let username = user["username"].as_str().unwrap_or_default().to_owned();
            let devices = api.devices(&username).await?.expect(200)?;
            let alone = api.user(&username).await?.expect(200)?;
            let shown = Listed {
                user: user.clone(),
                effective: alone.body["effective_limits"].clone(),
                devices: devices.items().to_vec(),
            };
            listed.insert(username, shown);
        }
        let Some(cursor) = page.body["next_cursor"].as_str() else {
            return Ok(listed);
        };
        query = format!("?limit=1000&cursor={cursor}");
    }
}
