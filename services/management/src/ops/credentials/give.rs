//! Gives the devices of users credentials. Each credential has its own common name; its home node creates the key and the profile.

use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};
use vpnmanager_entities::credential;
use vpnmanager_nats::{
    device::DeviceName,
    ids::{CommonName, NodeId},
    username::Username,
};

/// Credentials in one INSERT; PostgreSQL accepts at most 65,535 values in one statement.
const CHUNK: usize = 5_000;

/// A credential for a device of a user.
#[derive(Debug, Clone)]
pub struct NewCredential {
    user_id: i64,
    device: DeviceName,
    common_name: CommonName,
    home: NodeId,
}

impl NewCredential {
    /// A credential with a new common name for this device of this user, with this home node.
    pub fn new(user_id: i64, username: &Username, device: &DeviceName, home: &NodeId) -> Self {
        Self {
            user_id,
            device: device.clone(),
            common_name: CommonName::for_user(username),
            home: home.clone(),
        }
    }

    /// Its common name.
    pub fn common_name(&self) -> &CommonName {
        &self.common_name
    }
}

/// Inserts the credentials.
pub async fn give_credentials(transaction: &DatabaseTransaction, new: &[NewCredential]) -> Result<(), DbErr> {
    for chunk in new.chunks(CHUNK) {
        let rows = chunk.iter().map(|new| credential::ActiveModel {
            user_id: Set(Some(new.user_id)),
            device: Set(new.device.clone()),
            common_name: Set(new.common_name.clone()),
            server_id: Set(new.home.clone()),
            ..Default::default()
        });
        credential::Entity::insert_many(rows)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}
