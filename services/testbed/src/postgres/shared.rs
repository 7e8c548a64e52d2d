//! One cluster for all tests of a test binary.

use tokio::sync::OnceCell;

use super::{Durability, Postgres, PostgresError};

/// The cluster of this process, started at the first call; its guard ends it with the process.
///
/// # Errors
/// [`PostgresError`]; the next call tries again.
pub async fn shared() -> Result<&'static Postgres, PostgresError> {
    static CLUSTER: OnceCell<Postgres> = OnceCell::const_new();
    CLUSTER.get_or_try_init(|| Postgres::start(Durability::Fast)).await
}
