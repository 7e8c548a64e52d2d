//! What the machine's firewall has of ours, for who only looks.

use vpnmanager_runtime::error_chain::chain;

use super::{nft::Nft, site::Tools};

/// Our table as nft prints it; `None` where there is none.
///
/// # Errors
/// In words, why nft does not say.
pub(crate) async fn firewall_table() -> Result<Option<String>, String> {
    let printed = Nft::new(Tools::default().nft).printed().await;
    printed.map_err(|error| chain(&error).to_string())
}
