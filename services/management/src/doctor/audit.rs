//! What the audit trail tells of the last hour.

use sea_orm::{DatabaseConnection, FromQueryResult, Statement};
use vpnmanager_runtime::doctor::{Check, Seen, Trouble};

use super::database::unreadable;
use crate::domain::audit_action::AuditAction;

pub(super) const AUDIT: Check =
    Check::new("audit", "The audit trail of the last hour tells of nothing unusual").after(&["database-schema"]);

/// Entries that somebody should have read.
const UNUSUAL: [AuditAction; 13] = [
    AuditAction::AccessRefused,
    AuditAction::WrongKeys,
    AuditAction::AuditRewritten,
    AuditAction::LocalRequestRefused,
    AuditAction::NodeCloned,
    AuditAction::NodeCutOff,
    AuditAction::NodeEventsLeftOut,
    AuditAction::NodeAnswerRefused,
    AuditAction::BusStoreReplaced,
    AuditAction::CommandUndecodable,
    AuditAction::OpenvpnDown,
    AuditAction::CertificateNearEnd,
    AuditAction::WebhookDisabled,
];

#[derive(FromQueryResult)]
struct Counted {
    action: String,
    entries: i64,
}

/// Counts them.
pub(super) async fn look(db: &DatabaseConnection) -> Seen {
    let actions = UNUSUAL.map(|action| format!("'{action}'")).join(", ");
    let select = format!(
        "SELECT action::text AS action, count(*) AS entries FROM audit_log
         WHERE \"timestamp\" > now() - interval '1 hour' AND action IN ({actions}) GROUP BY action ORDER BY 1"
    );
    let statement = Statement::from_string(db.get_database_backend(), select);
    let counted = match Counted::find_by_statement(statement).all(db).await {
        Ok(counted) => counted,
        Err(error) => return unreadable(&error),
    };
    let Some(first) = counted.first() else {
        return Seen::fine("nothing unusual in the last hour", ());
    };
    let told: Vec<String> = counted
        .iter()
        .map(|Counted { action, entries }| format!("{entries} {action}"))
        .collect();
    let trouble = Trouble::new(
        format!("in the last hour: {}", told.join(", ")),
        "each of these entries says from where, and what to do is in docs/audit-actions.md",
        format!("vpnmanager audit list --action {}", first.action),
    );
    Seen::warning(trouble, ())
}
