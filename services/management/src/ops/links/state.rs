//! What a link does at this moment, in SQL: so that whoever looks and whoever takes judge by the same clock, that of the database.

/// A [`LinkState`](vpnmanager_entities::profile_link::LinkState) of the link `l` of the user `u`.
pub(super) const STATE: &str = "CASE
    WHEN l.revoked_at IS NOT NULL THEN 'revoked'
    WHEN l.uses_left = 0 THEN 'used'
    WHEN l.expires_at <= now() THEN 'expired'
    WHEN u.removed_at IS NOT NULL OR NOT u.active OR u.expires_at <= now() THEN 'closed'
    ELSE 'open' END";

/// Whether the link `l` could still be used by itself, whatever its user may do.
pub(in crate::ops) const IS_OPEN: &str = "(l.revoked_at IS NULL AND l.uses_left > 0 AND l.expires_at > now())";
