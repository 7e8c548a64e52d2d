//! What a command says in its headers, readable without its body.

use async_nats::HeaderMap;

use crate::ids::Revision;

/// The header that carries a command's revision.
pub const REVISION_HEADER: &str = "Vpn-Rev";

/// The revision that a command's headers name, 0 when they name none.
pub(crate) fn revision_of(headers: Option<&HeaderMap>) -> Revision {
    let text = headers.and_then(|headers| headers.get(REVISION_HEADER));
    Revision(text.and_then(|text| text.as_str().parse().ok()).unwrap_or_default())
}
