//! Serial numbers of certificates: hexadecimal in an index, binary in a certificate, decimal where OpenVPN names files after them.

use vpnmanager_nats::old_certificates::SerialNumber;
use x509_parser::num_bigint::BigUint;

/// Hexadecimal digits of the greatest number of 20 bytes (RFC 5280, section 4.1.2.2).
const MOST_DIGITS: usize = 40;

/// Of an `index.txt`.
pub(crate) fn from_hex(text: &str) -> Option<SerialNumber> {
    let is_number = (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_number.then(|| BigUint::parse_bytes(text.as_bytes(), 16))??;
    from_number(&number)
}

/// `None` for one that is longer than certificates may have.
pub(crate) fn from_number(number: &BigUint) -> Option<SerialNumber> {
    number.to_string().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_an_index_become_those_that_openvpn_prints() {
        for (hex, decimal) in [
            ("01", "1"),
            ("0A", "10"),
            ("00", "0"),
            ("ff", "255"),
            ("1000", "4096"),
            // Of a public repository: easy-rsa 3 draws 16 bytes.
            (
                "D2E1D3C7CDADFE909A357C08642F5250",
                "280310441326488153695980267789167317584",
            ),
        ] {
            assert_eq!(from_hex(hex).expect(hex), decimal);
        }
        for bad in ["", "-01", "+1", "0x1", "1 ", "G1", "1_0", &"F".repeat(41)] {
            assert_eq!(from_hex(bad), None, "{bad:?}");
        }
    }
}
