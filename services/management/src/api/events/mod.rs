//! `/api/events`: what happens, as it happens.

pub(super) mod filters;
mod schema;
mod stream;

use poem::web::Data;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::OpenApi;
use poem_openapi::param::{Header, Query};
use secrecy::{ExposeSecret as _, SecretString};
use vpnmanager_openapi::auth::presented_key;
use vpnmanager_openapi::problem::ApiError;

use super::access::WholeViewer;
use super::failure;
use super::tags::Tag;
use super::users::Stopping;
use crate::app::App;
use crate::ops::events::filter::EventFilter;
use crate::ops::events::listener::Listener;
use filters::{EventIdText, ServerIdList, SubjectList, TypeList, UsernameList};
use stream::EventStream;

/// The key that a request presents.
struct PresentedKey(Option<SecretString>);

pub(super) struct EventsApi;

#[OpenApi(prefix_path = "/api/events", tag = "Tag::Events")]
impl EventsApi {
    /// Stream events
    ///
    /// Server-sent events (WHATWG HTML standard): an answer that does not end. Each entry of the audit trail is an event as soon as it is recorded:
    /// `id` is that of the entry, `event` its action, `data` the JSON that is described here. Events come in the order of their ids, each once; none
    /// is left out. A comment and the id that was reached come each 15 s when there is nothing else.
    ///
    /// Whoever lost the connection goes on with the last id (`Last-Event-ID`, or `after`). Without one the stream begins now. It ends when
    /// management stops, and when the key is revoked, expires or gets another role.
    #[oai(path = "/", method = "get", operation_id = "stream_events")]
    #[expect(clippy::too_many_arguments, reason = "one for each parameter")]
    async fn stream(
        &self,
        _viewer: WholeViewer,
        app: Data<&App>,
        stopping: Data<&Stopping>,
        key: PresentedKey,
        /// Only events after this id. `Last-Event-ID` comes before it. 0: all that the trail has.
        after: Query<Option<EventIdText>>,
        /// The id of the last event that was received, as browsers send it.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<EventIdText>>,
        /// Only events of these types, a comma list.
        #[oai(name = "type")]
        types: Query<Option<TypeList>>,
        /// Only events about one of these, a comma list.
        subject: Query<Option<SubjectList>>,
        /// Only events about these users, a comma list.
        username: Query<Option<UsernameList>>,
        /// Only events about these servers, or recorded by these management replicas, a comma list.
        server_id: Query<Option<ServerIdList>>,
    ) -> Result<StreamedEvents, ApiError> {
        let types = types.0.map(|list| list.0).unwrap_or_default();
        let subjects = subject.0.map(|list| list.0).unwrap_or_default();
        let usernames = username.0.map(|list| list.0).unwrap_or_default();
        let server_ids = server_id.0.map(|list| list.0).unwrap_or_default();
        let filter = EventFilter::new(&types, &subjects)
            .about(usernames.iter().map(ToString::to_string).collect())
            .of_servers(server_ids.iter().map(ToString::to_string).collect());
        let after = last_event_id.0.or(after.0).map(|id| id.0);
        let key = key.0.ok_or_else(no_key)?;
        let found = app.keys.authenticate(key.expose_secret(), None).await;
        let found = found.map_err(|error| failure::of_authenticate(&app, error))?;
        let operator = found.ok_or_else(no_key)?;
        let listener = Listener::begin(&app.events, &app.db, (key, operator), (filter, after)).await;
        let listener = listener.map_err(|error| failure::events::of_listen(&app, error))?;
        Ok(StreamedEvents::Ok(
            EventStream::of(listener, stopping.0.0.clone()),
            "no".to_owned(),
        ))
    }
}

#[derive(poem_openapi::ApiResponse)]
enum StreamedEvents {
    /// The events, until either side ends it.
    #[oai(status = 200)]
    Ok(
        EventStream,
        /// Always `no`: nginx in front passes each event on at once.
        #[oai(header = "X-Accel-Buffering")]
        String,
    ),
}

/// It was good a moment ago.
fn no_key() -> ApiError {
    ApiError::unauthorized("this key is not known or has expired")
}

impl<'a> FromRequest<'a> for PresentedKey {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        Ok(Self(presented_key(request.headers()).map(SecretString::from)))
    }
}
