//! What of a user stands in a table.

use crate::output::{Look, Shape, column};

pub(crate) const USER: Shape = Shape {
    name: "/username",
    columns: &[
        column("USER", "/username"),
        column("GROUP", "/group"),
        column("ACTIVE", "/active"),
        column("EXPIRES", "/expires_at").shown(Look::Time),
        column("OVER QUOTA", "/over_quota"),
        column("SYNCED", "/synced"),
        column("HOME", "/server_id"),
        column("NODES", "/nodes").shown(Look::Each("server_id")),
        column("LAST ACCESS", "/last_access").shown(Look::Time),
    ],
};
