//! `webhooks test` and `webhooks deliveries`.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::named::Named;
use crate::arguments::Listing;
use crate::desk::Desk;
use crate::failure::Failure;
use crate::given::given;
use crate::output::{Look, Shape, column, tidy};
use crate::pages::items;

/// Deliveries among which the one of a try is looked for: others may be handed over meanwhile.
const LATEST: i64 = 200;

const DELIVERY: Shape = Shape {
    name: "/id",
    columns: &[
        column("ID", "/id"),
        column("TYPE", "/type"),
        column("EVENT", "/event_id"),
        column("CREATED", "/created_at").shown(Look::Time),
        column("ATTEMPTS", "/attempts"),
        column("DELIVERED", "/delivered_at").shown(Look::Time),
        column("STATUS", "/status"),
        column("ERROR", "/error"),
        column("NEXT", "/next_attempt_at").shown(Look::Time),
    ],
};

/// Which webhook to try.
#[derive(Debug, Args)]
pub(crate) struct Test {
    #[command(flatten)]
    named: Named,
    /// Wait until the receiver has answered, 30 seconds at most or as long as you say
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "30s", value_parser = humantime::parse_duration)]
    wait: Option<Duration>,
}

/// Of which webhook.
#[derive(Debug, Args)]
pub(crate) struct Deliveries {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    listing: Listing,
}

impl Test {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let request = desk.api.test_webhook().webhook(self.named.id);
        let handed_over = desk.api.answer(request.send()).await?;
        let Some(patience) = self.wait else {
            return desk.print(&desk.output.one(&DELIVERY, &handed_over)?);
        };
        let look = async || self.delivery(desk, handed_over.get("id")).await;
        let delivery = desk
            .until("the receiver has answered", patience, look, was_attempted)
            .await?;
        desk.print(&desk.output.brief(&DELIVERY, &delivery)?)?;
        match refusal(&delivery) {
            Some(refusal) => Err(Failure::failed(refusal)),
            None => Ok(()),
        }
    }

    /// What is known of it; nothing where it is not listed.
    async fn delivery(&self, desk: &Desk, id: Option<&Value>) -> Result<Value, Failure> {
        let request = desk.api.list_webhook_deliveries().webhook(self.named.id).limit(LATEST);
        let page = desk.api.answer(request.send()).await?;
        let found = items(&page).iter().find(|delivery| delivery.get("id") == id);
        Ok(found.cloned().unwrap_or_default())
    }
}

fn was_attempted(delivery: &Value) -> bool {
    delivery.get("attempted_at").is_some()
}

/// Why the receiver did not take it.
fn refusal(delivery: &Value) -> Option<String> {
    if delivery.get("delivered_at").is_some() {
        return None;
    }
    let error = delivery
        .get("error")
        .and_then(Value::as_str)
        .unwrap_or("it is not said why");
    Some(format!("the message was not delivered: {}", tidy(error)))
}

impl Deliveries {
    pub(super) async fn run(&self, desk: &Desk) -> Result<(), Failure> {
        let page = |size: i64, cursor: Option<String>| {
            let request = desk.api.list_webhook_deliveries().webhook(self.named.id).limit(size);
            given!(request, cursor = cursor).send()
        };
        desk.list(&DELIVERY, &self.listing, page).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_that_was_not_taken_has_a_reason() {
        let waiting = json!({ "id": 42, "attempts": 0 });
        assert!(!was_attempted(&waiting) && !was_attempted(&Value::Null));
        let taken = json!({ "attempted_at": "2026-12-01T08:00:00Z", "delivered_at": "2026-12-01T08:00:00Z" });
        assert!(was_attempted(&taken));
        assert_eq!(refusal(&taken), None);
        let refused = json!({ "attempted_at": "2026-12-01T08:00:00Z", "error": "the receiver answered 500" });
        assert_eq!(
            refusal(&refused).as_deref(),
            Some("the message was not delivered: the receiver answered 500")
        );
    }
}
