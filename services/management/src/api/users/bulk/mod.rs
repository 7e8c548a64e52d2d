//! Many users with one request: a list of changes as JSON, and all users as CSV, in and out.
//!
//! No name of these paths is below `/api/users/`: each word there may be a user's name.

mod answers;
mod batch;
mod batch_limits;
mod csv_text;
mod entry;
mod export;
mod import;
mod limits;
mod lines;
mod rows;
mod run;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::param::Query;
use poem_openapi::payload::Json;
use vpnmanager_openapi::problem::ApiError;

use crate::api::access::ScopedOperator;
use crate::api::scalars::{GroupText, ServerIdText, UsernamePrefix};
use crate::api::tags::Tag;
use crate::app::App;
use crate::ops::users::read::UserFilter;
use batch::{BatchAnswer, UserBatch};
use csv_text::CsvBody;
use export::ExportedUsers;
use import::ImportAnswer;
use run::Turns;

/// The largest body of a batch, in bytes: 10,000 items.
pub(crate) const LARGEST_BATCH: usize = 4 * 1024 * 1024;
/// The largest body of an import, in bytes: 100,000 rows.
pub(crate) const LARGEST_IMPORT: usize = 16 * 1024 * 1024;

/// The operations. All lists of this process share the turns.
#[derive(Default)]
pub(crate) struct BulkApi {
    turns: Turns,
}

#[OpenApi(prefix_path = "/api", tag = "Tag::Users")]
impl BulkApi {
    /// Create, change, reissue and remove many users
    ///
    /// Does for each item what the operation for one user does, with the same rules, and answers for each in the order of the request. An
    /// item that is refused stops no other one. Items about one username are done in their order, others at the same time. A `remove`
    /// beside other items about its username is 409, and so are those after it: send them in a list of their own. A list that does not have
    /// the form of this description is refused as a whole, and nothing is done.
    ///
    /// A list may be sent again, for example after a lost answer: the username is the key. `create` of a user who is there with exactly these
    /// values is `unchanged` (200), and 409 where a value is another one; so is `change` to what is true already. An `expires_at` or `server_id`
    /// that is left out is not compared. `remove` of a user who is removed is 404. A `reissue` with `made_before` is `unchanged` where each device
    /// has a profile of that time already; without it, a list that is sent again makes one more. If the caller goes away, what has not begun is not
    /// done.
    ///
    /// There is no `wait`: so many users are not synced within the 60 seconds of a wait. Ask `GET /api/users?synced=false`.
    #[oai(path = "/users--batch", method = "post", operation_id = "batch_users")]
    async fn batch(
        &self,
        operator: ScopedOperator,
        app: Data<&App>,
        body: Json<UserBatch>,
    ) -> Result<Json<BatchAnswer>, ApiError> {
        Ok(Json(batch::run_batch(app.0, &self.turns, &operator, body.0).await))
    }

    /// Import users from CSV
    ///
    /// A line for each user, 1 to 100,000, by RFC 4180 and in UTF-8. The first line names the columns, in any order: `username`, and where
    /// wanted `action` (`create`, which is meant where there is nothing, `change`, `remove` or `reissue`), `active` (`true` or `false`),
    /// `expires_at` (an RFC 3339 time, or `never`), `server_id`, `group`, for `reissue` `device`, `old_profiles` and `made_before`, and the own
    /// limits of the user: `limits.devices`, `limits.sessions`, `limits.session_excess`, `limits.traffic.bytes` with `limits.traffic.period`
    /// and `limits.traffic.reset_day`, `limits.speed.up` and `limits.speed.down`. The word `group` in one of these, and in that of the bytes for all
    /// three, takes the own value away. An empty cell is a value that is left out. Own `reach` and `routes` are in no file. The word `own` in
    /// `limits.reach_and_routes` says that the user has some: a line that creates such a user is 409, as the user would reach what others of its
    /// group do, and a change leaves them as they are. The other columns of the export
    /// (`synced`, `created_at`, `checksum`, `over_quota`) are skipped. An unknown column, or none for the username, is 400, and nothing is done.
    ///
    /// Each line is done as an item of `POST /api/users:batch`, and may be sent again like it; a line that removes a user is the only one
    /// about that user. The answer has the lines that failed, each with its number; the header is on line 1.
    #[oai(path = "/users.csv", method = "post", operation_id = "import_users")]
    async fn import(
        &self,
        operator: ScopedOperator,
        app: Data<&App>,
        body: CsvBody,
    ) -> Result<Json<ImportAnswer>, ApiError> {
        let CsvBody::Csv(text) = body;
        import::run_import(app.0, &self.turns, &operator, &text.0)
            .await
            .map(Json)
    }

    /// Export users as CSV
    ///
    /// All users that match the filters, in the order of creation, without pages. `POST /api/users.csv` takes the file, in this fleet or in
    /// another one that has the same servers and groups. Profiles and keys are not in it: there the users get other ones. Nor are own `reach` and
    /// `routes`: `limits.reach_and_routes` is `own` for a user who has some, whom an import does not create. An answer that
    /// ends without its last chunk is not whole.
    #[oai(path = "/users.csv", method = "get", operation_id = "export_users")]
    #[expect(clippy::too_many_arguments, reason = "one for each query parameter")]
    async fn export(
        &self,
        operator: ScopedOperator,
        app: Data<&App>,
        /// Only users whose home is this server.
        server_id: Query<Option<ServerIdText>>,
        /// Only users in this group.
        group: Query<Option<GroupText>>,
        /// `true` for users who are not suspended, those who have `expired` or are over a quota among them; `false` for suspended ones.
        active: Query<Option<bool>>,
        /// `true` for users who are over their quota, and have no access for that; `false` for all others.
        over_quota: Query<Option<bool>>,
        /// Filter by sync state: `true` for users whose servers have all applied the newest revision, and whose profile exists.
        synced: Query<Option<bool>>,
        /// Only users whose name begins with this text.
        username: Query<Option<UsernamePrefix>>,
    ) -> Result<ExportedUsers, ApiError> {
        let filter = UserFilter {
            server_id: server_id.0.map(|id| id.0),
            group: group.0.map(|group| group.0),
            node_group: None,
            active: active.0,
            over_quota: over_quota.0,
            synced: synced.0,
            username_prefix: username.0.map(UsernamePrefix::into_string),
            scope: operator.scope.clone(),
        };
        export::export_users(app.0, filter).await
    }
}
