//! Names the columns of an entity in SQL. A statement that says `*` gives other columns as soon as a newer replica adds one, and PostgreSQL
//! then refuses the plan that each connection of an older replica keeps ("cached plan must not change result type").

use sea_orm::{EntityTrait, Iden as _, Iterable as _};

/// All columns of the entity, of the table or alias `of`, for `SELECT` or `RETURNING`.
pub(crate) fn columns_of<E: EntityTrait>(of: &str) -> String {
    let columns = E::Column::iter().map(|column| format!("{of}.{}", column.unquoted()));
    columns.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use vpnmanager_entities::replica;

    use super::*;

    #[test]
    fn every_column_of_the_entity_is_named() {
        assert_eq!(
            columns_of::<replica::Entity>("r"),
            "r.server_id, r.deaf_at, r.heard_since, r.heard_at"
        );
    }
}
