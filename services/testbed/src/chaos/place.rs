//! The addresses inside the tunnel that members of groups have, as the entries of an allow-list give them.

use std::{collections::BTreeMap, fs, net::Ipv4Addr, path::Path};

/// What the entry of a member gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: Ipv4Addr,
    /// Whose pushes it names.
    pub(super) group: String,
}

impl Place {
    /// Reads an entry. `None`: it gives no address.
    fn parse(entry: &str) -> Option<Self> {
        let mut lines = entry.lines();
        let (address, _mask) = lines
            .clone()
            .find_map(|line| line.strip_prefix("ifconfig-push "))?
            .split_once(' ')?;
        let config = lines.find_map(|line| line.strip_prefix("config ")).unwrap_or_default();
        let group = config.rsplit('/').next().unwrap_or_default().trim_end_matches('"');
        Some(Self {
            address: address.parse().ok()?,
            group: group.to_owned(),
        })
    }

    /// The number of its block: of the network 10.8.0.0/16, the default of `OPENVPN_NETWORK`, one has 256 addresses.
    pub(super) fn block(&self) -> u8 {
        let [_, _, block, _] = self.address.octets();
        block
    }
}

/// The entries that give an address. All others are links, or empty files.
pub(super) fn read(allow_dir: &Path) -> BTreeMap<String, Place> {
    let entries = fs::read_dir(allow_dir).into_iter().flatten().flatten();
    let places = entries.filter_map(|entry| {
        let is_file = entry.file_type().ok()?.is_file();
        let place = Place::parse(&is_file.then(|| fs::read_to_string(entry.path()).ok())??)?;
        Some((entry.file_name().to_string_lossy().into_owned(), place))
    });
    places.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_gives_an_address_and_names_the_group() {
        let entry = "ifconfig-push 10.8.200.7 255.255.0.0\nifconfig-ipv6-push fd00:8::d807/64\nconfig \"/var/lib/vpnmanager/pushed.groups/sales\"\n";
        let place = Place {
            address: Ipv4Addr::new(10, 8, 200, 7),
            group: "sales".to_owned(),
        };
        assert_eq!(Place::parse(entry), Some(place));
        assert_eq!(Place::parse(""), None);
    }
}
