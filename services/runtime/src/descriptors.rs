//! File descriptors: how many the process may have open.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process keeps for itself, whatever strangers do: connections to PostgreSQL and NATS, journal, logs, pipes of children.
pub const RESERVED: u64 = 128;

/// How many files the process may have open at once (`RLIMIT_NOFILE`, soft); `u64::MAX` if there is no limit.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard one, and gives the limit that then holds. Programs that the process starts inherit it.
///
/// # Errors
/// When the system refuses. The old limit then stays.
pub fn raise_limit() -> io::Result<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        setrlimit(Resource::Nofile, raised)?;
    }
    Ok(limit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        let low = Rlimit {
            current: Some(200),
            maximum: before.maximum,
        };
        setrlimit(Resource::Nofile, low).unwrap();
        assert_eq!(limit(), 200);
        assert_eq!(raise_limit().unwrap(), before.maximum.unwrap_or(u64::MAX));
    }
}
