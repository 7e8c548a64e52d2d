//! The result of a stream of pings, read from the output of `ping -n -D`.

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

/// The result of a stream of pings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PingStats {
    /// Requests sent, once the stream has ended; 0 before.
    pub sent: u64,
    /// Distinct answers.
    pub received: u64,
    /// Sequence numbers that were never answered. The very last request counts only if answered: its answer may
    /// still have been on its way.
    pub lost: Vec<u64>,
    /// Longest time between two answers.
    pub longest_gap: Duration,
    /// When the last answer came.
    pub last_reply: Option<SystemTime>,
}

impl PingStats {
    /// Reads a log; before the stream has ended, the highest answered number stands for the number sent.
    #[must_use]
    pub fn parse(log: &str) -> Self {
        let replies: Vec<(Duration, u64)> = log.lines().filter_map(reply).collect();
        let answered: BTreeSet<u64> = replies.iter().map(|(_, sequence)| *sequence).collect();
        let sent = log.lines().find_map(transmitted).unwrap_or(0);
        let highest = answered.last().copied().unwrap_or(0);
        let expected = highest.max(sent.saturating_sub(1));
        let gaps = replies.windows(2).map(|pair| pair[1].0.saturating_sub(pair[0].0));
        Self {
            sent,
            received: answered.len() as u64,
            lost: (1..=expected).filter(|sequence| !answered.contains(sequence)).collect(),
            longest_gap: gaps.max().unwrap_or_default(),
            last_reply: replies.last().map(|(at, _)| SystemTime::UNIX_EPOCH + *at),
        }
    }
}

/// `[1763807000.123456] 64 bytes from 10.8.0.1: icmp_seq=7 ttl=64 time=0.4 ms`
fn reply(line: &str) -> Option<(Duration, u64)> {
    let (at, rest) = line.strip_prefix('[')?.split_once(']')?;
    let sequence = rest.split_once("bytes from")?.1.split_once("icmp_seq=")?.1;
    let sequence = sequence.split_whitespace().next()?.parse().ok()?;
    Some((Duration::try_from_secs_f64(at.parse().ok()?).ok()?, sequence))
}

/// `20 packets transmitted, 19 received, 5% packet loss, time 1001ms`
fn transmitted(line: &str) -> Option<u64> {
    line.split_once(" packets transmitted")?.0.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
PING 10.8.0.1 (10.8.0.1) 56(84) bytes of data.
[100.000000] 64 bytes from 10.8.0.1: icmp_seq=1 ttl=64 time=0.5 ms
[100.050000] 64 bytes from 10.8.0.1: icmp_seq=2 ttl=64 time=0.5 ms
[100.060000] 64 bytes from 10.8.0.1: icmp_seq=2 ttl=64 time=9.5 ms (DUP!)
[100.250000] 64 bytes from 10.8.0.1: icmp_seq=5 ttl=64 time=0.5 ms
";

    #[test]
    fn holes_and_gaps_are_found() {
        let stats = PingStats::parse(&format!(
            "{LOG}\n7 packets transmitted, 3 received, 57% packet loss, time 300ms\n"
        ));
        assert_eq!((stats.sent, stats.received), (7, 3));
        assert_eq!(stats.lost, [3, 4, 6]);
        assert_eq!(stats.longest_gap.as_millis(), 190);
    }

    #[test]
    fn a_running_stream_knows_only_what_was_answered() {
        let stats = PingStats::parse(LOG);
        assert_eq!(stats.lost, [3, 4]);
        assert_eq!(
            stats.last_reply,
            Some(SystemTime::UNIX_EPOCH + Duration::from_millis(100_250))
        );
    }
}
