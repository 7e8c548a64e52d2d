//! PgBouncer or RDS Proxy between management and PostgreSQL: which of their refusals mean that something must be configured otherwise.

use sea_orm::DbErr;
use vpnmanager_runtime::error_chain::chain;

/// What PgBouncer refuses at the start of a connection, unless it is told to ignore it (PgBouncer manual, `ignore_startup_parameters`).
const STARTUP: &str = "unsupported startup parameter";
/// What RDS Proxy says of a connection that brings settings for its session: "RDS Proxy currently doesn't support command-line options".
const OPTIONS: [&str; 2] = ["RDS Proxy", "command-line options"];
/// What PostgreSQL says when transactions of one session come to several servers, or those of several sessions to one.
const STATEMENTS: [&str; 2] = [
    "prepared statement \"sqlx_s_",
    "unnamed prepared statement does not exist",
];

/// What to do about an error that comes of a pooler; trying again changes nothing.
pub(crate) fn advice(error: &DbErr) -> Option<&'static str> {
    let text = chain(error).to_string();
    if text.contains(STARTUP) {
        return Some(
            "PgBouncer refuses a parameter of the connection: set ignore_startup_parameters = extra_float_digits,options in its \
             configuration, or connect to PostgreSQL itself",
        );
    }
    if OPTIONS.iter().all(|part| text.contains(part)) {
        return Some(
            "RDS Proxy refuses the settings that management asks for with each connection, and cannot be told to take them: connect to the \
             database itself, not through RDS Proxy",
        );
    }
    STATEMENTS.iter().any(|known| text.contains(known)).then_some(
        "a prepared statement is not where it was made: PgBouncer pools transactions. Set pool_mode = session there, or use PgBouncer 1.21 \
         or later with max_prepared_statements above 0, or connect to PostgreSQL itself",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pooler_refuses_is_told_from_other_errors() {
        for (text, word) in [
            (
                "error returned from database: unsupported startup parameter: options",
                Some("ignore_startup_parameters"),
            ),
            (
                "error returned from database: prepared statement \"sqlx_s_1\" already exists",
                Some("pool_mode = session"),
            ),
            (
                "error returned from database: prepared statement \"sqlx_s_2\" does not exist",
                Some("pool_mode = session"),
            ),
            (
                "error returned from database: Feature not supported: RDS Proxy currently doesn’t support command-line options.",
                Some("connect to the database itself, not through RDS Proxy"),
            ),
            ("failed to lookup address information: Name or service not known", None),
        ] {
            let advice = advice(&DbErr::Custom(text.to_owned()));
            assert_eq!(advice.is_some(), word.is_some(), "{text}: {advice:?}");
            assert!(
                word.is_none_or(|word| advice.is_some_and(|advice| advice.contains(word))),
                "{text}"
            );
        }
    }
}
