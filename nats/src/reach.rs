//! From where clients can reach a host, as far as its text says: nothing is looked up and nothing is dialled.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::commands::Host;

/// From where clients can reach a host, as far as its text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From other machines: a name or an address that can be dialled. Whether it is dialled from the Internet or from a private network
    /// is not asked.
    Anywhere,
    /// Only from the machine itself: a loopback address or `localhost`. Fit for a trial on one machine.
    ThisMachine,
    /// From nowhere that could be meant: unspecified, link-local, multicast and broadcast addresses, and numbers that are no address.
    Nowhere,
}

impl Host {
    /// From where clients can reach it. Every spelling of an address counts as that address: IPv4 within IPv6, and what the resolver of a
    /// client takes for an IPv4 address (inet_aton(3)), such as `0`, `127.1` or `0x7f000001`.
    pub fn reach(&self) -> Reach {
        let text = self.as_str();
        if let Ok(address) = text.parse::<IpAddr>() {
            return Reach::of(address);
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.eq_ignore_ascii_case("localhost") {
            // RFC 6761, section 6.3: all names below it are loopback.
            return Reach::ThisMachine;
        }
        if number(last).is_some() || last.bytes().all(|digit| digit.is_ascii_digit()) {
            // No top-level domain is a number: a resolver takes the whole for an address, or refuses it.
            return ipv4_of_numbers(text).map_or(Reach::Nowhere, Reach::of_v4);
        }
        Reach::Anywhere
    }
}

impl Reach {
    /// From where this address can be reached.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::of_v4(address),
            IpAddr::V6(address) => Self::of_v6(address),
        }
    }

    fn of_v4(address: Ipv4Addr) -> Self {
        // RFC 1122, section 3.2.1.3: no address of 0.0.0.0/8 is a destination.
        let is_this_network = address.octets()[0] == 0;
        if address.is_loopback() {
            Self::ThisMachine
        } else if is_this_network || address.is_link_local() || address.is_multicast() || address.is_broadcast() {
            Self::Nowhere
        } else {
            Self::Anywhere
        }
    }

    fn of_v6(address: Ipv6Addr) -> Self {
        // RFC 4291, section 2.5.5.1: IPv4 addresses in ::/96 are no longer used. The unspecified address is one of them.
        let is_old_ipv4 = address.segments()[..6] == [0; 6];
        if address.is_loopback() {
            Self::ThisMachine
        } else if is_old_ipv4 || address.is_unicast_link_local() || address.is_multicast() {
            Self::Nowhere
        } else {
            Self::Anywhere
        }
    }
}

/// The address that inet_aton(3) reads: one to four numbers, of which the last fills what the others leave.
fn ipv4_of_numbers(text: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u64> = text.split('.').map(number).collect::<Option<_>>()?;
    let (last, leading) = numbers.split_last()?;
    if leading.len() > 3 || leading.iter().any(|number| *number > 255) {
        return None;
    }
    if *last >= 1 << (32 - 8 * leading.len()) {
        return None;
    }
    let bits = leading
        .iter()
        .zip([24, 16, 8])
        .fold(*last, |bits, (number, shift)| bits | number << shift);
    u32::try_from(bits).ok().map(Ipv4Addr::from_bits)
}

/// A decimal, octal (`0` first) or hexadecimal (`0x` first) number, as inet_aton(3) reads it.
fn number(label: &str) -> Option<u64> {
    let lower = label.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    // `0x` alone is read as 0 by some; what is too long for a number is no number of an address.
    if digits.is_empty() {
        return Some(0);
    }
    digits
        .bytes()
        .all(|digit| (digit as char).is_digit(radix))
        .then(|| u64::from_str_radix(digits, radix).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_that_address() {
        let cases = [
            (
                Reach::Anywhere,
                &[
                    "vpn.example.com",
                    "vpn1",
                    "1.vpn.example",
                    "localhost.example.com",
                    "0xample.com",
                    "10.0.0.1",
                    "192.168.1.7",
                    "203.0.113.7",
                    "::ffff:203.0.113.7",
                    "2001:db8::1",
                    "fd00::1",
                    "3405803783",
                ][..],
            ),
            (
                Reach::ThisMachine,
                &[
                    "localhost",
                    "LOCALHOST",
                    "vpn.localhost",
                    "127.0.0.1",
                    "127.9.9.9",
                    "::1",
                    "::ffff:127.0.0.1",
                    "::ffff:7f00:1",
                    "127.1",
                    "2130706433",
                    "0x7f000001",
                    "0x7F.1",
                    "0177.0.0.1",
                    "127.0.0.001",
                ],
            ),
            (
                Reach::Nowhere,
                &[
                    "0.0.0.0",
                    "0.1.2.3",
                    "0",
                    "0x0",
                    "00.0",
                    "::",
                    "::0.0.0.2",
                    "::127.0.0.1",
                    "::ffff:0.0.0.0",
                    "169.254.0.1",
                    "::ffff:169.254.169.254",
                    "0251.254.1",
                    "fe80::1",
                    "febf::1",
                    "224.0.0.1",
                    "239.1.2.3",
                    "ff02::1",
                    "255.255.255.255",
                    "::ffff:255.255.255.255",
                    "4294967295",
                    "1.2.3.4.5",
                    "1.2.3.256",
                    "1.2.3.08",
                    "4294967296",
                    "99999999999999999999999",
                    "vpn.example.1",
                ],
            ),
        ];
        for (expected, hosts) in cases {
            for host in hosts {
                let parsed: Host = host.parse().unwrap_or_else(|error| panic!("{host}: {error}"));
                assert_eq!(parsed.reach(), expected, "{host}");
            }
        }
    }

    #[test]
    fn a_host_has_no_scope() {
        for scoped in ["fe80::1%eth0", "fe80::1%2", "::1%lo", "[fe80::1%25eth0]"] {
            assert!(scoped.parse::<Host>().is_err(), "{scoped}");
        }
    }
}
