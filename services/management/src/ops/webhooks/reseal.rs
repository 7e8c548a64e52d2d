//! Encrypts the secrets of webhooks anew, before the key that they were encrypted with is gone.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryOrder,
    QuerySelect,
};
use vpnmanager_entities::webhook;

use super::secrets::resealed;
use crate::{ops::transact::transact, pki::Pki};

/// Encrypts all secrets with the key of the next authority, or of the first where there is no next one. What cannot be read stays as it is.
pub async fn reseal(db: &DatabaseConnection, pki: &Pki) -> Result<(), DbErr> {
    transact(db, |tx| async move {
        let all = webhook::Entity::find()
            .order_by_asc(webhook::Column::Id)
            .lock_exclusive()
            .all(&*tx)
            .await?;
        for webhook in all {
            let secret = resealed(pki, &webhook.secret);
            let former = webhook.former_secret.as_deref();
            let former = former.and_then(|sealed| resealed(pki, sealed));
            let mut row = webhook.into_active_model();
            if let Some(secret) = secret {
                row.secret = Set(secret);
            }
            if let Some(former) = former {
                row.former_secret = Set(Some(former));
            }
            if row.is_changed() {
                row.update(&*tx).await?;
            }
        }
        Ok::<_, DbErr>(())
    })
    .await
}
