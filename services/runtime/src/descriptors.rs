//! File descriptors: how many the process may have open, and which of them are its own business.

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

/// Keeps every descriptor but the standard streams from the programs that this process starts. What Rust opens is kept anyway; who started
/// this process may have left others open. To be called before there are threads.
pub fn keep_from_programs() {
    close_fds::set_fds_cloexec(FIRST_OTHER, &[]);
}

/// The first descriptor after standard input, output and error.
const FIRST_OTHER: i32 = 3;

#[cfg(test)]
mod tests {
    use std::{fs::File, process::Command};

    use rustix::io::{FdFlags, fcntl_setfd};

    use super::*;

    #[test]
    fn a_program_gets_no_descriptor_that_was_left_open() {
        let file = std::env::current_exe().unwrap();
        let opened = File::open(&file).unwrap();
        fcntl_setfd(&opened, FdFlags::empty()).unwrap();
        let of_a_program = || {
            let listing = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
            String::from_utf8(listing.stdout).unwrap()
        };
        let left = file.to_str().unwrap();
        assert!(of_a_program().contains(left));

        keep_from_programs();

        assert!(!of_a_program().contains(left));
    }

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
