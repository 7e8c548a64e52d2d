//! Names as the API takes them: parsed at the border, described in the specification.

use std::str::FromStr;

use serde_json::Value;
use vpnmanager_nats::commands::{Host, Protocol};
use vpnmanager_nats::heartbeats::OpenvpnState;
use vpnmanager_nats::ids::NodeId;
use vpnmanager_nats::security::keys::NodePublicKey;
use vpnmanager_nats::username::Username;
use vpnmanager_openapi::{scalar_impls, text_scalar};

/// A valid one, whose key was thrown away.
pub(super) const EXAMPLE_CSR: &str = "\
-----BEGIN CERTIFICATE REQUEST-----\n\
MIHHMG4CAQAwDDEKMAgGA1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA\n\
BLreZkeuNZ+3zwoQd6HBbzWhyBIyqwk2aiae8W2ivj6F52ipYFvJUJWiXtCFNVKc\n\
l2DyuwX5T30qUA1UM3DEUp+gADAKBggqhkjOPQQDAgNJADBGAiEAqx+hDpDpWkIV\n\
atqJ6mkAEgH7AL2Y2aa+V4YOZrD0TCYCIQDhVipdEQZ0yEPSdAyjBwCQUiIRkL/o\n\
J1YbHY7utWrqDA==\n\
-----END CERTIFICATE REQUEST-----\n";

/// A username of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UsernameText(pub(super) Username);

/// A server id of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerIdText(pub(super) NodeId);

/// What clients dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostText(pub(super) Host);

/// The public NKey of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BusKeyText(pub(super) NodePublicKey);

/// The transport of tunnels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProtocolText(pub(super) Protocol);

/// Whether OpenVPN serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenvpnStateText(pub(super) OpenvpnState);

scalar_impls! {
    UsernameText, "string", "username",
    |schema| {
        schema.pattern = Some(Username::PATTERN.to_owned());
        schema.min_length = Some(1);
        schema.max_length = Some(Username::MAX_LENGTH);
        schema.example = Some(Value::from("alice"));
    },
    |text| Username::from_str(text).map(UsernameText),
    |value| Value::from(value.0.as_str())
}

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

scalar_impls! {
    HostText, "string", "host",
    |schema| {
        schema.min_length = Some(1);
        schema.max_length = Some(Host::MAX_LENGTH);
        schema.example = Some(Value::from("vpn1.example.org"));
    },
    |text| Host::from_str(text).map(HostText),
    |value| Value::from(value.0.as_str())
}

scalar_impls! {
    BusKeyText, "string", "nkey",
    |schema| {
        schema.pattern = Some("^U[A-Z2-7]{55}$".to_owned());
        schema.min_length = Some(56);
        schema.max_length = Some(56);
        schema.example = Some(Value::from("UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"));
    },
    |text| NodePublicKey::from_str(text).map(BusKeyText),
    |value| Value::from(value.0.as_str())
}

scalar_impls! {
    ProtocolText, "string", "protocol",
    |schema| {
        schema.enum_items = [Protocol::Udp, Protocol::Tcp].map(|protocol| Value::from(protocol.as_str())).to_vec();
        schema.example = Some(Value::from("udp"));
    },
    |text| Protocol::from_str(text).map(ProtocolText),
    |value| Value::from(value.0.as_str())
}

scalar_impls! {
    OpenvpnStateText, "string", "openvpn-state",
    |schema| {
        schema.enum_items = OpenvpnStateText::ALL.map(|state| Value::from(OpenvpnStateText(state).as_str())).to_vec();
        schema.example = Some(Value::from("up"));
    },
    |text| OpenvpnStateText::from_str(text),
    |value| Value::from(value.as_str())
}

impl OpenvpnStateText {
    const ALL: [OpenvpnState; 4] = [
        OpenvpnState::Up,
        OpenvpnState::Down,
        OpenvpnState::Waiting,
        OpenvpnState::Absent,
    ];

    fn as_str(&self) -> &'static str {
        match self.0 {
            OpenvpnState::Up => "up",
            OpenvpnState::Down => "down",
            OpenvpnState::Waiting => "waiting",
            OpenvpnState::Absent => "absent",
        }
    }
}

impl FromStr for OpenvpnStateText {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let found = Self::ALL.map(Self).into_iter().find(|state| state.as_str() == text);
        found.ok_or("must be up, down, waiting or absent")
    }
}

text_scalar! {
    /// How usernames begin.
    pub(super) struct UsernamePrefix {
        format: "username-prefix",
        pattern: Username::PATTERN,
        length: 1..=64,
        example: "ali",
        check: |text| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
            match text.bytes().all(plain) {
                true => Ok(()),
                false => Err("must be letters, digits, '.', '_', '@' or '-'".to_owned()),
            }
        },
    }
}

text_scalar! {
    /// A pool of nodes.
    pub(super) struct PoolText {
        format: "pool",
        pattern: NodeId::PATTERN,
        length: 1..=63,
        example: "default",
        check: |text| match NodeId::from_str(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("must be a letter or digit, then letters, digits, '_' or '-'".to_owned()),
        },
    }
}

text_scalar! {
    /// A join token, as it was shown.
    pub(super) struct TokenText {
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
    pub(super) struct CsrText {
        format: "pkcs10-pem",
        pattern: "^[ -~\\r\\n]+$",
        length: 1..=8192,
        example: EXAMPLE_CSR,
        check: |text| match text.is_ascii() {
            true => Ok(()),
            false => Err("must be a PKCS #10 request in PEM".to_owned()),
        },
    }
}

text_scalar! {
    /// A signature.
    pub(super) struct SignatureText {
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
    pub(super) struct VersionText {
        format: "version",
        pattern: "^[ -~]+$",
        length: 1..=64,
        example: "0.1.0",
        check: |text| printable(text),
    }
}

text_scalar! {
    /// What was done, as the audit trail names it.
    pub(super) struct ActionText {
        format: "action",
        pattern: "^[a-z_]+$",
        length: 1..=64,
        example: "user_created",
        check: |text| match text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            true => Ok(()),
            false => Err("must be lower-case letters and '_'".to_owned()),
        },
    }
}

text_scalar! {
    /// A few words.
    pub(super) struct Words {
        format: "words",
        pattern: "^[^\\x00]*$",
        length: 1..=400,
        example: "cannot bind port 1194",
        check: |_text| Ok(()),
    }
}

text_scalar! {
    /// A duration, as humantime text.
    pub(super) struct TimeToLive {
        format: "time-to-live",
        pattern: "^[0-9a-z ]+$",
        length: 2..=64,
        example: "1h",
        check: |text| match humantime::parse_duration(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("must be a duration such as 30m, 1h or 2days".to_owned()),
        },
    }
}

fn printable(text: &str) -> Result<(), String> {
    match text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        true => Ok(()),
        false => Err("must be printable ASCII".to_owned()),
    }
}
