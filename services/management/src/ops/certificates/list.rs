//! Lists certificates, the one that ends first at the beginning. Those of users are in another table than all others.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select, TransactionTrait as _,
};
use vpnmanager_entities::{certificate, credential, user};
use vpnmanager_nats::{device::DeviceName, ids::NodeId, username::Username};

use crate::{
    domain::certificates::kind::{CertificateKind, CertificateState},
    pki::CertificateFacts,
};

/// Which certificates to list; one must match all fields that are set.
#[derive(Debug, Clone, Default)]
pub struct CertificateFilter {
    /// Those for this.
    pub kind: Option<CertificateKind>,
    /// Those in this state.
    pub state: Option<CertificateState>,
    /// Those that end before this time.
    pub expires_before: Option<DateTime<Utc>>,
    /// That of this node, or of this replica, and those of users whose home made them.
    pub server_id: Option<NodeId>,
    /// Those of users of this name.
    pub username: Option<Username>,
}

/// The place of a certificate in the list. The tables are told apart where two end at the same moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When it ends.
    pub not_after: DateTime<Utc>,
    /// Whether it is that of a user.
    pub of_user: bool,
    /// The id of its row.
    pub id: i64,
}

/// A certificate of the list.
#[derive(Debug, Clone)]
pub struct CertificateView {
    /// Its place in the list.
    pub place: Place,
    /// What it is for.
    pub kind: CertificateKind,
    /// What it is good for.
    pub state: CertificateState,
    /// The node or the replica that presents it; of one of a user, the node that made its key.
    pub server_id: Option<String>,
    /// Its user, if that is known still.
    pub username: Option<Username>,
    /// Her device.
    pub device: Option<DeviceName>,
    /// When it becomes valid.
    pub not_before: Option<DateTime<Utc>>,
    /// What it says; `None` where it cannot be read.
    pub facts: Option<CertificateFacts>,
}

/// Reads at most `limit` certificates that come after the place `after`.
pub async fn list_certificates(
    db: &DatabaseConnection,
    filter: &CertificateFilter,
    after: Option<Place>,
    limit: u64,
) -> Result<Vec<CertificateView>, DbErr> {
    let now = Utc::now();
    // A few users and nodes have most certificates, and the others have one: a plan for all of them alike is wrong for some.
    let transaction = db.begin().await?;
    transaction
        .execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan")
        .await?;
    let mut views = Vec::new();
    if let Some(query) = of_fleet(filter, after, now) {
        let rows = query.limit(limit).all(&transaction).await?;
        views.extend(rows.into_iter().map(|row| view_of_row(row, now)));
    }
    if let Some(query) = of_users(&transaction, filter, after, now).await? {
        let rows = query.limit(limit).all(&transaction).await?;
        let names = usernames(&transaction, &rows).await?;
        views.extend(rows.into_iter().filter_map(|row| view_of_credential(row, &names, now)));
    }
    transaction.commit().await?;
    views.sort_by_key(|view| view.place);
    views.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(views)
}

/// `None`: none of them matches.
fn of_fleet(
    filter: &CertificateFilter,
    after: Option<Place>,
    now: DateTime<Utc>,
) -> Option<Select<certificate::Entity>> {
    use certificate::Column;
    if filter.username.is_some() {
        return None;
    }
    let mut query = certificate::Entity::find()
        .order_by_asc(Column::NotAfter)
        .order_by_asc(Column::Id);
    if let Some(kind) = filter.kind {
        query = query.filter(Column::Kind.eq(kind.of_row()?));
    }
    query = match filter.state {
        None => query,
        Some(CertificateState::Revoked) => return None,
        Some(CertificateState::Replaced) => query.filter(Column::ReplacedAt.is_not_null()),
        Some(CertificateState::Valid) => query
            .filter(Column::ReplacedAt.is_null())
            .filter(Column::NotAfter.gt(now)),
        Some(CertificateState::Expired) => query
            .filter(Column::ReplacedAt.is_null())
            .filter(Column::NotAfter.lte(now)),
    };
    if let Some(end) = filter.expires_before {
        query = query.filter(Column::NotAfter.lt(end));
    }
    if let Some(server) = &filter.server_id {
        let of_replica = Condition::all()
            .add(Column::Kind.eq(certificate::Kind::Https))
            .add(Column::Holder.eq(server.as_str()));
        query = query.filter(
            Condition::any()
                .add(Column::ServerId.eq(server.clone()))
                .add(of_replica),
        );
    }
    Some(query.filter(beyond(after, false, Column::NotAfter, Column::Id)))
}

/// `None`: none of them matches.
async fn of_users(
    transaction: &DatabaseTransaction,
    filter: &CertificateFilter,
    after: Option<Place>,
    now: DateTime<Utc>,
) -> Result<Option<Select<credential::Entity>>, DbErr> {
    use credential::Column;
    if filter.kind.is_some_and(|kind| kind != CertificateKind::Client) {
        return Ok(None);
    }
    let mut query = credential::Entity::find()
        .filter(Column::NotAfter.is_not_null())
        .order_by_asc(Column::NotAfter)
        .order_by_asc(Column::Id);
    query = match filter.state {
        None => query,
        Some(CertificateState::Replaced) => return Ok(None),
        Some(CertificateState::Revoked) => query.filter(Column::RevokedAt.is_not_null()),
        Some(CertificateState::Valid) => query
            .filter(Column::RevokedAt.is_null())
            .filter(Column::NotAfter.gt(now)),
        Some(CertificateState::Expired) => query
            .filter(Column::RevokedAt.is_null())
            .filter(Column::NotAfter.lte(now)),
    };
    if let Some(end) = filter.expires_before {
        query = query.filter(Column::NotAfter.lt(end));
    }
    if let Some(server) = &filter.server_id {
        query = query.filter(Column::ServerId.eq(server.clone()));
    }
    if let Some(username) = &filter.username {
        // Also of one that is being removed.
        let of_name = user::Entity::find()
            .select_only()
            .column(user::Column::Id)
            .filter(user::Column::Username.eq(username.as_str()))
            .into_tuple::<i64>()
            .all(transaction)
            .await?;
        query = query.filter(Column::UserId.eq_any(of_name));
    }
    Ok(Some(query.filter(beyond(after, true, Column::NotAfter, Column::Id))))
}

/// Those of a table that come after this place. The first condition is where the index begins.
fn beyond<C: ColumnTrait>(after: Option<Place>, of_user: bool, not_after: C, id: C) -> Condition {
    let Some(after) = after else {
        return Condition::all();
    };
    let later = not_after.gt(after.not_after);
    let at_the_end = match (of_user, after.of_user) {
        (true, false) => return Condition::all().add(not_after.gte(after.not_after)),
        (false, true) => return Condition::all().add(later),
        (true, true) | (false, false) => Condition::all().add(not_after.eq(after.not_after)).add(id.gt(after.id)),
    };
    Condition::all()
        .add(not_after.gte(after.not_after))
        .add(Condition::any().add(later).add(at_the_end))
}

async fn usernames(
    transaction: &DatabaseTransaction,
    rows: &[credential::Model],
) -> Result<HashMap<i64, Username>, DbErr> {
    let ids: Vec<i64> = rows.iter().filter_map(|row| row.user_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let names = user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .column(user::Column::Username)
        .filter(user::Column::Id.eq_any(ids))
        .into_tuple::<(i64, Username)>()
        .all(transaction)
        .await?;
    Ok(names.into_iter().collect())
}

fn view_of_row(row: certificate::Model, now: DateTime<Utc>) -> CertificateView {
    let state = match row.replaced_at {
        Some(_) => CertificateState::Replaced,
        None => CertificateState::by_end(row.not_after, now),
    };
    let server_id = match row.kind {
        certificate::Kind::Node => row.server_id.map(|node| node.to_string()),
        certificate::Kind::Https => Some(row.holder),
        certificate::Kind::Ca | certificate::Kind::Bus => None,
    };
    CertificateView {
        place: Place {
            not_after: row.not_after,
            of_user: false,
            id: row.id,
        },
        kind: row.kind.into(),
        state,
        server_id,
        username: None,
        device: None,
        not_before: Some(row.not_before),
        facts: CertificateFacts::of_pem(&row.certificate),
    }
}

fn view_of_credential(
    row: credential::Model,
    names: &HashMap<i64, Username>,
    now: DateTime<Utc>,
) -> Option<CertificateView> {
    let not_after = row.not_after?;
    Some(CertificateView {
        place: Place {
            not_after,
            of_user: true,
            id: row.id,
        },
        kind: CertificateKind::Client,
        state: match row.revoked_at {
            Some(_) => CertificateState::Revoked,
            None => CertificateState::by_end(not_after, now),
        },
        server_id: Some(row.server_id.to_string()),
        username: row.user_id.and_then(|id| names.get(&id).cloned()),
        device: Some(row.device),
        not_before: row.not_before,
        facts: row.certificate.as_deref().and_then(CertificateFacts::of_pem),
    })
}
