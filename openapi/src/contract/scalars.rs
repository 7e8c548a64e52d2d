//! Text with a rule, as the bodies of the contract hold it: parsed where it is read, described in the specification.

use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vpnmanager_nats::commands::{Host, Protocol};
use vpnmanager_nats::ids::{DEFAULT_POOL, NodeId};
use vpnmanager_nats::security::keys::{InvalidKey, NodePublicKey};

use crate::{scalar_impls, text_scalar};

/// A valid certificate request, whose key was thrown away.
pub const EXAMPLE_CSR: &str = "\
-----BEGIN CERTIFICATE REQUEST-----\n\
MIHHMG4CAQAwDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA\n\
BLreZkeuNZ+3zwoQd6HBbzWhyBIyqwk2aiae8W2ivj6F52ipYFvJUJWiXtCFNVKc\n\
l2DyuwX5T30qUA1UM3DEUp+gADAKBggqhkjOPQQDAgNJADBGAiEAqx+hDpDpWkIV\n\
atqJ6mkAEgH7AL2Y2aa+V4YOZrD0TCYCIQDhVipdEQZ0yEPSdAyjBwCQUiIRkL/o\n\
J1YbHY7utWrqDA==\n\
-----END CERTIFICATE REQUEST-----\n";

/// The id of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ServerIdText(pub NodeId);

scalar_impls! {
    ServerIdText, "string", "server-id",
    |schema| {
        schema.pattern = Some(NodeId::PATTERN.to_owned());
        schema.min_length = Some(1);
        schema.max_length = Some(NodeId::MAX_LENGTH);
        schema.example = Some(Value::from("endnode-1"));
    },
    |text| NodeId::from_str(text).map(ServerIdText),
    |value| Value::from(value.0.as_str())
}

/// The DNS name or address that clients connect to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostText(pub Host);

scalar_impls! {
    HostText, "string", "host",
    |schema| {
        schema.min_length = Some(1);
        schema.max_length = Some(Host::MAX_LENGTH);
        schema.example = Some(Value::from("vpn1.example.org"));
        let mut name = MetaSchema::new("string");
        name.pattern = Some(HOST_NAME.to_owned());
        let ipv6 = MetaSchema::new_with_format("string", "ipv6");
        schema.any_of = [name, ipv6].map(|way| MetaSchemaRef::Inline(Box::new(way))).into();
    },
    |text| Host::from_str(text).map(HostText),
    |value| Value::from(value.0.as_str())
}

/// A DNS name (RFC 1123, section 2.1), or an IPv4 address, which looks like one.
const HOST_NAME: &str =
    r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$";

text_scalar! {
    /// The public NKey of a node by its form: the checksum in it is for [`BusKeyText::key`] to check.
    pub struct BusKeyText {
        format: "nkey",
        pattern: "^U[A-D][A-Z2-7]{54}$",
        length: 56..=56,
        example: "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
        check: |_text| Ok(()),
    }
}

impl BusKeyText {
    /// The key.
    ///
    /// # Errors
    /// When its checksum is wrong: nobody has such a key.
    pub fn key(&self) -> Result<NodePublicKey, InvalidKey> {
        self.as_str().parse()
    }
}

impl From<&NodePublicKey> for BusKeyText {
    fn from(key: &NodePublicKey) -> Self {
        Self(key.as_str().to_owned())
    }
}

/// The transport of tunnels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProtocolText(pub Protocol);

scalar_impls! {
    ProtocolText, "string", "protocol",
    |schema| {
        schema.enum_items = Protocol::ALL.iter().map(|protocol| Value::from(protocol.as_str())).collect();
        schema.example = Some(Value::from("udp"));
    },
    |text| Protocol::from_str(text).map(ProtocolText),
    |value| Value::from(value.0.as_str())
}

/// A pool of nodes, which has the form of a node's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PoolText(pub NodeId);

scalar_impls! {
    PoolText, "string", "pool",
    |schema| {
        schema.pattern = Some(NodeId::PATTERN.to_owned());
        schema.min_length = Some(1);
        schema.max_length = Some(NodeId::MAX_LENGTH);
        schema.example = Some(Value::from(DEFAULT_POOL));
    },
    |text| NodeId::from_str(text).map(PoolText).map_err(|_| {
        "must be 1 to 63 characters: a letter or digit, then letters, digits, '_' or '-'"
    }),
    |value| Value::from(value.0.as_str())
}

text_scalar! {
    /// A join token, as it was shown.
    pub struct TokenText {
        format: "join-token",
        pattern: "^[!-~]+$",
        length: 1..=128,
        example: "vpnjoin-zq3v5k2mhx6t",
        check: |text| match text.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(()),
            false => Err("must be printable ASCII without spaces".to_owned()),
        },
    }
}

text_scalar! {
    /// A certificate request.
    pub struct CsrText {
        format: "pkcs10-pem",
        pattern: "^[ -~\\r\\n]+$",
        length: 1..=4096,
        example: EXAMPLE_CSR,
        check: |text| match text.is_ascii() {
            true => Ok(()),
            false => Err("must be a PKCS #10 request in PEM".to_owned()),
        },
    }
}

text_scalar! {
    /// A signature.
    pub struct SignatureText {
        format: "base64url",
        pattern: "^[A-Za-z0-9_-]+$",
        length: 1..=256,
        example: "c2lnbmVk",
        check: |text| match text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            true => Ok(()),
            false => Err("must be base64url without padding".to_owned()),
        },
    }
}

text_scalar! {
    /// The release of an agent.
    pub struct VersionText {
        format: "version",
        pattern: "^[ -~]+$",
        length: 1..=64,
        example: "0.1.0",
        check: |text| printable(text),
    }
}

impl SignatureText {
    /// The text of a signature. Those of the contract have at most 72 bytes, so the text keeps the rule.
    #[must_use]
    pub fn encode(signature: &[u8]) -> Self {
        Self(BASE64URL_NOPAD.encode(signature))
    }

    /// The signature; empty, and so no valid one, when the text is not base64url.
    #[must_use]
    pub fn decode(&self) -> Vec<u8> {
        BASE64URL_NOPAD.decode(self.0.as_bytes()).unwrap_or_default()
    }
}

fn printable(text: &str) -> Result<(), String> {
    match text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("must be printable ASCII".to_owned()),
    }
}
