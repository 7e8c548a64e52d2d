//! Nothing that a caller can write panics a parser of the API. What parses keeps its bounds, prints as it is, and is read alike from a
//! query and from a body. `fuzz/targets/http.rs` asks the same for hours.

use poem::http::{HeaderMap, HeaderValue};
use poem_openapi::types::{ParseFromJSON, ParseFromParameter, ToJSON};
use proptest::prelude::*;
use serde_json::Value;
use vpnmanager_nats::{ids::NodeId, security::keys::NodePublicKey};
use vpnmanager_openapi::{
    auth::presented_key,
    contract::scalars::{
        BusKeyText, CsrText, HostText, PoolText, ProtocolText, ServerIdText, SignatureText, TokenText, VersionText,
    },
    idempotency::IdempotencyKey,
    page::{IdCursor, MAX_LIMIT, NameCursor, PageLimit, Position},
    server::{Network, TrustedProxies, is_host},
    time::Timestamp,
    wait::{LONGEST, Wait},
};

proptest! {
    #[test]
    fn arbitrary_text_is_read_alike_from_a_query_and_from_a_body(text in any_text()) {
        alike::<IdCursor>(&text)?;
        alike::<NameCursor>(&text)?;
        alike::<PageLimit>(&text)?;
        alike::<Wait>(&text)?;
        alike::<Timestamp>(&text)?;
        alike::<ServerIdText>(&text)?;
        alike::<HostText>(&text)?;
        alike::<BusKeyText>(&text)?;
        alike::<PoolText>(&text)?;
        alike::<ProtocolText>(&text)?;
        alike::<TokenText>(&text)?;
        alike::<CsrText>(&text)?;
        alike::<SignatureText>(&text)?;
        alike::<VersionText>(&text)?;
        alike::<IdempotencyKey>(&text)?;
    }

    #[test]
    fn a_limit_is_within_its_bounds(number: i128) {
        let limit = number.to_string().parse::<PageLimit>().ok().map(PageLimit::get);
        let fits = usize::try_from(number).ok().filter(|number| (1..=MAX_LIMIT).contains(number));
        prop_assert_eq!(limit, fits);
    }

    #[test]
    fn a_key_of_a_request_has_255_characters_at_most(text in "\"?[ -~]{0,300}\"?") {
        if let Ok(key) = text.parse::<IdempotencyKey>() {
            prop_assert!((1..=255).contains(&key.value().len()), "{}", key);
        }
    }

    #[test]
    fn a_wait_is_never_longer_than_a_minute(
        number: u64,
        unit in prop::sample::select(vec!["ns", "us", "ms", "s", "sec", "m", "min", "h", "days", "years"]),
        more in "[0-9]{0,3}(ms|s)?",
    ) {
        for text in [format!("{number}{unit}"), format!("{}{unit} {more}", number % 100)] {
            if let Ok(wait) = text.parse::<Wait>() {
                prop_assert!(wait.duration() <= LONGEST);
            }
        }
    }

    #[test]
    fn a_position_comes_back_from_its_cursor(id in 0..=i64::MAX, name in "[ -~]{1,64}") {
        let cursor: IdCursor = id.to_cursor().parse().unwrap();
        prop_assert_eq!(cursor.position(), id);
        let cursor: NameCursor = name.to_cursor().parse().unwrap();
        prop_assert_eq!(cursor.position(), name);
    }

    #[test]
    fn a_time_is_read_as_it_was_printed(seconds in 0_i64..=253_402_300_799, nanoseconds in 0..2_000_000_000_u32) {
        if let Some(time) = chrono::DateTime::from_timestamp(seconds, nanoseconds) {
            let time = Timestamp::from(time);
            prop_assert_eq!(time.to_string().parse::<Timestamp>(), Ok(time));
        }
    }

    #[test]
    fn a_key_is_found_without_the_spaces_around_it(
        value in "[ -~]{0,40}",
        own in any::<bool>(),
        scheme in prop::sample::select(vec!["Bearer", "bearer", "Basic", ""]),
    ) {
        let (name, sent) = match own {
            true => ("x-api-key", value.clone()),
            false => ("authorization", format!("{scheme} {value}")),
        };
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::try_from(sent).unwrap());
        let expected = Some(value.trim()).filter(|key| !key.is_empty() && (own || scheme.eq_ignore_ascii_case("bearer")));
        prop_assert_eq!(presented_key(&headers), expected);
    }

    #[test]
    fn bytes_that_are_no_text_present_no_key(value in prop::collection::vec(0x80_u8..=0xff, 1..20)) {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_bytes(&value).unwrap());
        prop_assert_eq!(presented_key(&headers), None);
    }

    #[test]
    fn a_host_names_one_host(bytes in any::<Vec<u8>>(), text in "[a-z0-9.:@,/?#\\[\\] -]{0,30}") {
        for host in [bytes.as_slice(), text.as_bytes()] {
            if is_host(host) {
                prop_assert!(host.iter().all(|byte| byte.is_ascii_graphic() && !b"@,/?#".contains(byte)), "{host:?}");
            }
        }
    }

    #[test]
    fn a_network_is_read_as_it_was_printed(text in any_text(), like in "[0-9a-f:.]{1,20}(/[0-9]{0,4})?", bits: u128, prefix in 1_u32..=128) {
        let made = std::net::Ipv6Addr::from_bits(bits >> (128 - prefix) << (128 - prefix));
        for text in [text, like, format!("{made}/{prefix}")] {
            if let Ok(network) = text.parse::<Network>() {
                prop_assert_eq!(network.to_string().parse(), Ok(network));
            }
        }
    }

    #[test]
    fn whatever_a_client_writes_before_what_the_proxy_appends_is_not_read(
        bytes in "[^\\x00-\\x08\\x0a-\\x1f\\x7f]{0,80}",
        address: std::net::IpAddr,
    ) {
        let proxies: TrustedProxies = serde_json::from_str(r#"["10.0.0.1"]"#).unwrap();
        let address = address.to_canonical();
        prop_assume!(!proxies.contains(address));
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_bytes(bytes.as_bytes()).unwrap());
        headers.append("x-forwarded-for", HeaderValue::try_from(format!("{address}, 10.0.0.1")).unwrap());
        let client = proxies.client("10.0.0.1:80".parse().unwrap(), &headers).unwrap();
        prop_assert_eq!(client.ip(), address);
        let stranger = std::net::SocketAddr::new(address, 80);
        prop_assert_eq!(proxies.client(stranger, &headers).unwrap(), stranger);
    }

    #[test]
    fn a_signature_comes_back_from_its_text(bytes in prop::collection::vec(any::<u8>(), 1..100)) {
        let text = SignatureText::encode(&bytes);
        prop_assert_eq!(&text.to_string().parse::<SignatureText>(), &Ok(text.clone()));
        prop_assert_eq!(text.decode(), bytes);
    }

    #[test]
    fn a_servers_id_and_a_pool_have_the_form_of_a_node_id(text in any_text()) {
        let is_id = text.parse::<NodeId>().is_ok();
        prop_assert_eq!(ServerIdText::parse_from_parameter(&text).is_ok(), is_id);
        prop_assert_eq!(PoolText::parse_from_parameter(&text).is_ok(), is_id);
        let key = BusKeyText::parse_from_parameter(&text);
        prop_assert_eq!(key.is_ok_and(|key| key.key().is_ok()), text.parse::<NodePublicKey>().is_ok());
    }
}

/// Anything, and what nearly has the form of something.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,80}",
        "[0-9a-zA-Z._@:+-]{0,70}",
        "[A-Za-z0-9_-]{1,600}",
        "[0-9]{1,4}(ns|ms|s|m|h|days)( [0-9]{1,3}s)?",
        "[0-9]{4}-[01][0-9]-[0-3][0-9][Tt ][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{0,9})?(Z|[+-][0-2][0-9]:[0-5][0-9])",
        "U[A-Z2-7]{55}",
        "[\\x00-\\x1f\\x7f€😀\u{202e}]{1,20}",
    ]
}

/// The same text is read in the same way from a query and from a body, and what is written of it is read as the same. A refusal is short.
fn alike<T: ParseFromParameter + ParseFromJSON + ToJSON>(text: &str) -> Result<(), TestCaseError> {
    let in_body = T::parse_from_json(Some(Value::from(text)));
    match T::parse_from_parameter(text) {
        Ok(read) => {
            let written = read.to_json();
            prop_assert_eq!(in_body.ok().and_then(|value| value.to_json()), written.clone());
            if written.as_ref().is_some_and(Value::is_string) {
                let again = T::parse_from_json(written.clone());
                prop_assert_eq!(again.ok().and_then(|value| value.to_json()), written);
            }
        }
        Err(error) => {
            prop_assert!(in_body.is_err());
            prop_assert!(error.message().chars().count() < 300, "{}", error.message());
        }
    }
    Ok(())
}
