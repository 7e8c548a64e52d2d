//! Which releases of nats-server are new enough.

use super::error::TopologyError;

/// Older servers drop consumer and stream fields that we need, some of them silently.
pub const OLDEST_SERVER: (u64, u64) = (2, 14);

/// Refuses servers older than [`OLDEST_SERVER`].
pub fn check_version(version: &str) -> Result<(), TopologyError> {
    let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u64>().ok());
    let found = numbers.next().flatten().zip(numbers.next().flatten());
    match found {
        Some(found) if found >= OLDEST_SERVER => Ok(()),
        Some(_) | None => Err(TopologyError::ServerTooOld {
            found: version.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_before_2_14_are_refused() {
        for old in ["2.9.10", "2.13.9", "1.99.0", "", "x"] {
            assert!(check_version(old).is_err(), "{old:?} was accepted");
        }
        for new in ["2.14.0", "2.15.1", "2.14.0-beta.1", "3.0.0"] {
            assert!(check_version(new).is_ok(), "{new:?} was refused");
        }
    }
}
