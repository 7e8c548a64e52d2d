//! The two families of addresses, as nft calls them.

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) is_ipv4: bool,
    /// Of its addresses in rules.
    pub(super) word: &'static str,
    /// Of its addresses in sets and maps.
    pub(super) kind: &'static str,
    /// What names of its sets and maps end with.
    pub(super) digit: char,
}

/// Both.
pub(super) static FAMILIES: [Family; 2] = [
    Family {
        is_ipv4: true,
        word: "ip",
        kind: "ipv4_addr",
        digit: '4',
    },
    Family {
        is_ipv4: false,
        word: "ip6",
        kind: "ipv6_addr",
        digit: '6',
    },
];
