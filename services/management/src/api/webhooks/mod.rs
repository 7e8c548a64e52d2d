//! `/api/webhooks`: where events are sent.

mod schema;

use poem::web::Data;
use poem_openapi::param::{Path, Query};
use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, OpenApi};
use vpnmanager_openapi::middleware::RequestUri;
use vpnmanager_openapi::page::{IdCursor, PageAnswer, PageLimit};
use vpnmanager_openapi::problem::ApiError;

use super::access::Admin;
use super::failure;
use super::scalars::IdText;
use super::tags::Tag;
use crate::app::App;
use crate::ops::webhooks::{change, create, read, remove, rotate_secret, try_out};
use schema::{Delivery, HandedOver, NewWebhookBody, NewWebhookSecret, Webhook, WebhookChanges, WebhookSecret};

#[derive(Debug, ApiResponse)]
enum WebhookCreated {
    /// The webhook was made.
    #[oai(status = 201)]
    Created(
        Json<WebhookSecret>,
        /// The path of the webhook.
        #[oai(header = "Location")]
        String,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

#[derive(Debug, ApiResponse)]
enum SecretRotated {
    /// Messages are signed with another secret.
    #[oai(status = 200)]
    Done(
        Json<NewWebhookSecret>,
        /// Always `no-store`.
        #[oai(header = "Cache-Control")]
        String,
    ),
}

#[derive(Debug, ApiResponse)]
enum WebhookTried {
    /// The message is sent in a moment. What became of it is in the list of deliveries.
    #[oai(status = 202)]
    Accepted(Json<HandedOver>),
}

#[derive(Debug, ApiResponse)]
enum WebhookDeleted {
    /// There is no such webhook any more.
    #[oai(status = 204)]
    Done,
}

pub(super) struct WebhooksApi;

#[OpenApi(prefix_path = "/api/webhooks", tag = "Tag::Events")]
impl WebhooksApi {
    /// List webhooks
    ///
    /// Newest first. Their secrets are not shown.
    #[oai(path = "/", method = "get", operation_id = "list_webhooks")]
    async fn list(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<IdCursor>>,
    ) -> Result<PageAnswer<Webhook>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let before = cursor.0.map(|cursor| cursor.position());
        let rows = read::list_webhooks(&app.db, before, limit.fetch()).await;
        let rows = rows.map_err(|error| failure::database(&app, error))?;
        Ok(PageAnswer::new(rows, limit, &uri, |row| row.id, Webhook::of))
    }

    /// Create a webhook
    ///
    /// Each event that is recorded from now on is sent to `url` with `POST`, as `GET /api/events` shows it, signed as the Standard Webhooks
    /// specification says (`webhook-id`, `webhook-timestamp`, `webhook-signature`). Any answer from 200 to 299 takes it. Otherwise it is sent again,
    /// with growing pauses, for three days. So one may arrive twice, with the same `webhook-id`, and later than newer ones. An answer 410 disables the
    /// webhook. At most 100 webhooks.
    ///
    /// 409 if nothing may be sent to `url`: it must be https, and lead to a public address, unless the configuration of management allows more.
    #[oai(path = "/", method = "post", operation_id = "create_webhook")]
    async fn create(
        &self,
        admin: Admin,
        app: Data<&App>,
        body: Json<NewWebhookBody>,
    ) -> Result<WebhookCreated, ApiError> {
        let made = create::create_webhook(app.0, &admin, body.0.into_new_webhook()).await;
        let made = made.map_err(|error| failure::webhooks::of_create(&app, error))?;
        let location = format!("/api/webhooks/{}", made.webhook.id);
        let body = WebhookSecret::of(made);
        Ok(WebhookCreated::Created(Json(body), location, "no-store".to_owned()))
    }

    /// Get a webhook
    #[oai(path = "/:webhook", method = "get", operation_id = "get_webhook")]
    async fn get(
        &self,
        _admin: Admin,
        app: Data<&App>,
        /// The id of the webhook.
        webhook: Path<IdText>,
    ) -> Result<Json<Webhook>, ApiError> {
        let found = read::get_webhook(&app.db, webhook.0.0).await;
        let found = found.map_err(|error| failure::database(&app, error))?;
        found
            .map(|row| Json(Webhook::of(row)))
            .ok_or_else(failure::webhooks::unknown_webhook)
    }

    /// Change a webhook
    ///
    /// Fields that are left out keep their value; lists are replaced as a whole. A webhook that is enabled again gets what is recorded from then on, and
    /// what was waiting when it was disabled.
    #[oai(path = "/:webhook", method = "patch", operation_id = "change_webhook")]
    async fn change(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The id of the webhook.
        webhook: Path<IdText>,
        body: Json<WebhookChanges>,
    ) -> Result<Json<Webhook>, ApiError> {
        let changed = change::change_webhook(app.0, &admin, webhook.0.0, body.0.into_change()).await;
        changed
            .map(|row| Json(Webhook::of(row)))
            .map_err(|error| failure::webhooks::of_change(&app, error))
    }

    /// Delete a webhook
    ///
    /// With its deliveries. What waits is not sent.
    #[oai(path = "/:webhook", method = "delete", operation_id = "delete_webhook")]
    async fn remove(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The id of the webhook.
        webhook: Path<IdText>,
    ) -> Result<WebhookDeleted, ApiError> {
        let removed = remove::remove_webhook(app.0, &admin, webhook.0.0).await;
        removed
            .map(|()| WebhookDeleted::Done)
            .map_err(|error| failure::webhooks::of_remove(&app, error))
    }

    /// Try a webhook
    ///
    /// Sends a message of the type `webhook_test`, once. 409 if the webhook is disabled.
    #[oai(path = "/:webhook/test", method = "post", operation_id = "test_webhook")]
    async fn test(
        &self,
        _admin: Admin,
        app: Data<&App>,
        /// The id of the webhook.
        webhook: Path<IdText>,
    ) -> Result<WebhookTried, ApiError> {
        let tried = try_out::try_webhook(app.0, webhook.0.0).await;
        tried
            .map(|id| WebhookTried::Accepted(Json(HandedOver::new(id))))
            .map_err(|error| failure::webhooks::of_try(&app, error))
    }

    /// List the deliveries of a webhook
    ///
    /// Newest first. They are kept for ten days.
    #[oai(
        path = "/:webhook/deliveries",
        method = "get",
        operation_id = "list_webhook_deliveries"
    )]
    async fn deliveries(
        &self,
        _admin: Admin,
        app: Data<&App>,
        uri: RequestUri,
        /// The id of the webhook.
        webhook: Path<IdText>,
        /// Items on a page, 1 to 1000.
        limit: Query<Option<PageLimit>>,
        /// `next_cursor` of the previous page.
        cursor: Query<Option<IdCursor>>,
    ) -> Result<PageAnswer<Delivery>, ApiError> {
        let limit = limit.0.unwrap_or_default();
        let before = cursor.0.map(|cursor| cursor.position());
        let found = read::list_deliveries(&app.db, webhook.0.0, before, limit.fetch()).await;
        let found = found.map_err(|error| failure::database(&app, error))?;
        let rows = found.ok_or_else(failure::webhooks::unknown_webhook)?;
        Ok(PageAnswer::new(rows, limit, &uri, |row| row.id, Delivery::of))
    }

    /// Give a webhook another secret
    ///
    /// For 24 hours messages are signed with the former one too, so that the receiver can change over. A secret that others may know is rotated twice:
    /// the first one is not used any more then.
    #[oai(
        path = "/:webhook/rotate-secret",
        method = "post",
        operation_id = "rotate_webhook_secret"
    )]
    async fn rotate_secret(
        &self,
        admin: Admin,
        app: Data<&App>,
        /// The id of the webhook.
        webhook: Path<IdText>,
    ) -> Result<SecretRotated, ApiError> {
        let rotated = rotate_secret::rotate_secret(app.0, &admin, webhook.0.0).await;
        let rotated = rotated.map_err(|error| failure::webhooks::of_rotate(&app, error))?;
        let body = NewWebhookSecret::of(rotated);
        Ok(SecretRotated::Done(Json(body), "no-store".to_owned()))
    }
}
