//! How the addresses inside the tunnel are divided. Pure.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::{
    listening::ListenerNumber,
    openvpn::vpn_network::{VpnNetwork, VpnNetwork6},
};

/// The blocks that a half is divided into, if they are neither too small nor too large: twice as many as a fleet has groups at most.
const BLOCKS: u32 = 128;
/// The fewest addresses in a block, except where the whole half has fewer.
const SMALLEST_BLOCK: u32 = 16;
/// The most: a group with one member takes no more of the network than that.
const LARGEST_BLOCK: u32 = 256;
/// The number of the first fixed IPv6 address in its network. OpenVPN gives dynamic ones from 0x1000 on, one for each dynamic IPv4 address, so
/// up to 0x8ffd. Blocks stay aligned, because it is a multiple of the largest.
const FIRST_FIXED6: u128 = 0x9000;

/// How the addresses inside the tunnel of a listener are divided: the lower half is given by OpenVPN as clients come, the upper half is fixed, in
/// blocks of one group each. An address is named by its number in the network: in `OPENVPN_NETWORK`, or in the slice of it that the listener has
/// where a node has several. Numbers mean the same in each slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    network: VpnNetwork,
    network6: Option<VpnNetwork6>,
}

impl Layout {
    /// Of these networks.
    pub fn new(network: VpnNetwork, network6: Option<VpnNetwork6>) -> Self {
        Self { network, network6 }
    }

    /// That of this listener, where this is that of the first: the slices of the same size that lie so many of them behind, of both families.
    pub fn beside(self, number: ListenerNumber) -> Self {
        let ListenerNumber(number) = number;
        Self {
            network: self.network.beside(number),
            network6: self.network6.map(|network| network.beside(number)),
        }
    }

    /// The IPv4 network.
    pub fn network(&self) -> VpnNetwork {
        self.network
    }

    /// The IPv6 network, if the tunnel has one.
    pub fn network6(&self) -> Option<VpnNetwork6> {
        self.network6
    }

    /// The first address that OpenVPN gives as clients come, for `ifconfig-pool`. The one before it is the server's own.
    pub fn first_dynamic(&self) -> Ipv4Addr {
        self.address(2)
    }

    /// The last of them.
    pub fn last_dynamic(&self) -> Ipv4Addr {
        self.address(self.half() - 1)
    }

    /// How many these are: 2 to 32,766.
    pub fn dynamic(&self) -> u32 {
        self.half() - 2
    }

    /// The number of the first fixed address, which is the size of a half: 4 to 32,768.
    pub fn half(&self) -> u32 {
        (!self.network.mask().to_bits() >> 1) + 1
    }

    /// Addresses in a block: a power of two, 4 to 256.
    pub fn block_size(&self) -> u32 {
        let half = self.half();
        half.min((half / BLOCKS).clamp(SMALLEST_BLOCK, LARGEST_BLOCK))
    }

    /// Blocks in the upper half: 1 to 128.
    pub fn blocks(&self) -> u32 {
        self.half() / self.block_size()
    }

    /// The block of a fixed address; `None` for the number of another one.
    pub fn block_of(&self, host: u32) -> Option<u32> {
        let block = host.checked_sub(self.half())? / self.block_size();
        (block < self.blocks()).then_some(block)
    }

    /// The numbers that may be given in a block.
    pub fn hosts_of(self, block: u32) -> impl Iterator<Item = u32> {
        let first = self.first_of(block);
        (first..first + self.block_size()).filter(move |host| self.may_be_given(*host))
    }

    /// Whether a credential may have this address. Not the last one of the network, which is that of broadcasts, and none that ends in 0 or
    /// 255: there are clients and filters that do not take it for the address of a machine.
    pub fn may_be_given(&self, host: u32) -> bool {
        let [.., end] = self.address(host).octets();
        (self.half()..2 * self.half() - 1).contains(&host) && !matches!(end, 0 | 255)
    }

    /// The IPv4 addresses of a block.
    pub fn block_net(&self, block: u32) -> Ipv4Net {
        let length = u8::try_from(32 - self.host_bits_of_blocks()).unwrap_or(32);
        Ipv4Net::new_assert(self.address(self.first_of(block)), length)
    }

    /// Its IPv6 addresses, if it has some: a network of 112 bits has none for the last sixteen of 128 blocks.
    pub fn block_net6(&self, block: u32) -> Option<Ipv6Net> {
        let first = self.address6(self.first_of(block))?;
        let length = u8::try_from(128 - self.host_bits_of_blocks()).unwrap_or(128);
        Some(Ipv6Net::new_assert(first, length))
    }

    /// The IPv4 address with this number.
    pub fn address(&self, host: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.network.address().to_bits() | host)
    }

    /// The IPv6 address beside a fixed IPv4 address, where the tunnel has IPv6 and room for it.
    pub fn address6(&self, host: u32) -> Option<Ipv6Addr> {
        let network = self.network6?;
        let number = FIRST_FIXED6 + u128::from(host.checked_sub(self.half())?);
        let room = 1_u128 << (128 - network.prefix_length());
        (number < room).then(|| Ipv6Addr::from_bits(network.address().to_bits() | number))
    }

    /// The number of an address; `None` outside of the network.
    pub fn host_of(&self, address: Ipv4Addr) -> Option<u32> {
        let is_within = self.network.contains(address);
        is_within.then(|| address.to_bits() & !self.network.mask().to_bits())
    }

    /// Whether an address is in the upper half.
    pub fn is_fixed(&self, address: Ipv4Addr) -> bool {
        self.host_of(address).is_some_and(|host| host >= self.half())
    }

    fn first_of(&self, block: u32) -> u32 {
        self.half() + block * self.block_size()
    }

    fn host_bits_of_blocks(&self) -> u32 {
        self.block_size().trailing_zeros()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn layout(network: &str, network6: Option<&str>) -> Layout {
        Layout::new(
            network.parse().expect("a network"),
            network6.map(|network| network.parse().expect("a network")),
        )
    }

    fn texts(layout: &Layout, block: u32) -> (String, Option<String>) {
        let net6 = layout.block_net6(block).map(|net| net.to_string());
        (layout.block_net(block).to_string(), net6)
    }

    #[test]
    fn a_half_is_divided_into_at_most_128_blocks_of_4_to_256_addresses() {
        for (network, half, size, blocks, dynamic) in [
            ("10.8.0.0/16", 32_768, 256, 128, "10.8.0.2 10.8.127.255"),
            ("10.8.0.0/17", 16_384, 128, 128, "10.8.0.2 10.8.63.255"),
            ("10.8.0.0/20", 2_048, 16, 128, "10.8.0.2 10.8.7.255"),
            ("10.8.0.0/21", 1_024, 16, 64, "10.8.0.2 10.8.3.255"),
            ("10.8.4.0/24", 128, 16, 8, "10.8.4.2 10.8.4.127"),
            ("10.8.4.8/29", 4, 4, 1, "10.8.4.10 10.8.4.11"),
        ] {
            let layout = layout(network, None);
            assert_eq!(
                (layout.half(), layout.block_size(), layout.blocks()),
                (half, size, blocks),
                "{network}"
            );
            let given = format!("{} {}", layout.first_dynamic(), layout.last_dynamic());
            assert_eq!(given, dynamic, "{network}");
        }
    }

    #[test]
    fn blocks_are_the_upper_half_and_no_address_is_in_two() {
        for network in ["10.8.0.0/16", "10.8.0.0/18", "10.8.4.0/24", "10.8.4.8/29"] {
            let layout = layout(network, Some("fd00:8::/64"));
            let mut given = BTreeSet::new();
            for block in 0..layout.blocks() {
                for host in layout.hosts_of(block) {
                    let (address, address6) = (layout.address(host), layout.address6(host).expect("room"));
                    assert!(given.insert(host) && layout.may_be_given(host), "{address}");
                    assert!(layout.is_fixed(address) && layout.host_of(address) == Some(host));
                    assert_eq!(layout.block_of(host), Some(block));
                    assert!(layout.block_net(block).contains(&address), "{address}");
                    let net6 = layout.block_net6(block).expect("room");
                    assert!(net6.contains(&address6) && net6.trunc() == net6, "{address6} in {net6}");
                }
            }
            let upper = layout.half()..2 * layout.half() - 1;
            let is_odd = |host: &u32| {
                let [.., end] = layout.address(*host).octets();
                matches!(end, 0 | 255)
            };
            let expected: BTreeSet<u32> = upper.filter(|host| !is_odd(host)).collect();
            assert_eq!(
                given, expected,
                "all but those that do not look like one, and that of broadcasts"
            );
        }
    }

    #[test]
    fn addresses_of_the_lower_half_and_of_other_networks_are_not_fixed() {
        let layout = layout("10.8.0.0/16", Some("fd00:8::/64"));
        for (address, is_fixed) in [
            ("10.8.0.2", false),
            ("10.8.127.255", false),
            ("10.8.128.0", true),
            ("10.8.255.254", true),
            ("10.9.128.0", false),
        ] {
            assert_eq!(
                layout.is_fixed(address.parse().expect("an address")),
                is_fixed,
                "{address}"
            );
        }
        assert_eq!((layout.block_of(32_767), layout.block_of(65_536)), (None, None));
        assert!(!layout.may_be_given(32_767) && !layout.may_be_given(65_535));
        assert_eq!(layout.address6(32_767), None);
    }

    #[test]
    fn ipv6_addresses_lie_beyond_those_that_openvpn_gives_as_far_as_there_is_room() {
        let wide = layout("10.8.0.0/16", Some("fd00:8::/64"));
        assert_eq!(
            texts(&wide, 0),
            ("10.8.128.0/24".to_owned(), Some("fd00:8::9000/120".to_owned()))
        );
        assert_eq!(
            texts(&wide, 127),
            ("10.8.255.0/24".to_owned(), Some("fd00:8::1:f00/120".to_owned()))
        );
        let narrow = layout("10.8.0.0/16", Some("fd00:8::/112"));
        assert_eq!(texts(&narrow, 111).1.as_deref(), Some("fd00:8::ff00/120"));
        assert_eq!(texts(&narrow, 112), ("10.8.240.0/24".to_owned(), None));
        let small = layout("10.8.4.0/24", Some("fd00:8::/112"));
        assert_eq!(
            texts(&small, 7),
            ("10.8.4.240/28".to_owned(), Some("fd00:8::9070/124".to_owned()))
        );
        assert_eq!(texts(&layout("10.8.4.0/24", None), 0).1, None);
    }

    #[test]
    fn a_number_means_the_same_in_each_slice_and_no_slice_has_an_address_of_another() {
        let first = layout("10.8.0.0/18", Some("fd00:8::/66"));
        assert_eq!(first.beside(ListenerNumber::FIRST), first);
        let third = first.beside(ListenerNumber(2));
        assert_eq!(
            (third.network().to_string(), third.network6().map(|net| net.to_string())),
            ("10.8.128.0/18".to_owned(), Some("fd00:8:0:0:8000::/66".to_owned()))
        );
        assert_eq!(
            (third.half(), third.block_size(), third.blocks()),
            (first.half(), first.block_size(), first.blocks())
        );
        let host = first.half() + 300;
        assert_eq!(third.block_of(host), first.block_of(host));
        assert_eq!(third.address(host).to_string(), "10.8.161.44");
        assert_eq!(
            third.address6(host).map(|address| address.to_string()).as_deref(),
            Some("fd00:8::8000:0:0:912c")
        );
        let (address, theirs) = (first.address(host), third.address(host));
        assert_eq!(
            (first.host_of(address), third.host_of(theirs)),
            (Some(host), Some(host))
        );
        assert_eq!((first.host_of(theirs), third.host_of(address)), (None, None));
    }
}
