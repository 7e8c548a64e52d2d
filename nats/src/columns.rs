//! Types of the wire as column types of the database. Text that does not parse is an error of the query, never a missing row.
//!
//! The types derive `DeriveValueType`, or `FromJsonQueryResult` for a document, where they are declared; here is what these leave out.

use sea_orm::{DbErr, TryFromU64};

use crate::{
    groups::GroupName,
    ids::{AgentInstance, IntentId, NodeId, UserKey},
};

/// Every primary key of sea-orm must say whether the database can count it up. These cannot be.
macro_rules! not_counted {
    ($($name:ident),+) => {$(
        impl TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, DbErr> {
                Err(DbErr::ConvertFromU64(stringify!($name)))
            }
        }
    )+};
}
not_counted!(NodeId, UserKey, AgentInstance, IntentId, GroupName);

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use sea_orm::{
        ActiveValue, IntoActiveValue, Value,
        sea_query::{Nullable, ValueType},
    };
    use uuid::Uuid;

    use super::*;
    use crate::{
        commands::{Host, Protocol, Role},
        heartbeats::OpenvpnState,
        ids::{CommonName, EventId},
        listeners::{Listener, Listeners},
        network::Network,
        security::keys::NodePublicKey,
        sync::StateDigest,
        username::Username,
    };

    /// Writes a value, reads it back, and does the same with `Some` and `None` of it.
    fn round_trip<T>(typed: T, stored: Value)
    where
        T: Clone + Debug + PartialEq + Into<Value> + ValueType + Nullable + IntoActiveValue<T>,
    {
        assert_eq!(typed.clone().into(), stored);
        assert_eq!(
            <T as ValueType>::try_from(stored.clone()).expect("a valid value"),
            typed
        );
        let some = Some(typed.clone());
        assert_eq!(Value::from(some.clone()), stored);
        assert_eq!(<Option<T> as ValueType>::try_from(stored).expect("a valid value"), some);
        let none = <Option<T> as ValueType>::try_from(T::null()).expect("a valid value");
        assert_eq!(none, None);
        assert_eq!(typed.clone().into_active_value(), ActiveValue::Set(typed));
    }

    /// A text type: its good text makes the round trip, the bad one is refused, also where the column may be empty.
    fn text_column<T>(good: &str, bad: &str)
    where
        T: Clone + Debug + PartialEq + std::str::FromStr + Into<Value> + ValueType + Nullable + IntoActiveValue<T>,
        T::Err: Debug,
    {
        round_trip(good.parse::<T>().expect("a valid text"), Value::from(good));
        assert!(
            <T as ValueType>::try_from(Value::from(bad)).is_err(),
            "{bad:?} was accepted"
        );
        assert!(
            <Option<T> as ValueType>::try_from(Value::from(bad)).is_err(),
            "{bad:?} was accepted"
        );
    }

    #[test]
    fn a_node_id_is_a_text_column() {
        text_column::<NodeId>("endnode-1", "a.b");
    }

    #[test]
    fn a_username_is_a_text_column() {
        text_column::<Username>("alice", "../x");
    }

    #[test]
    fn a_common_name_is_a_text_column() {
        text_column::<CommonName>("alice.abcdefghij234567", "a/b");
    }

    #[test]
    fn a_host_is_a_text_column() {
        text_column::<Host>("vpn.example.com", "a b");
    }

    #[test]
    fn a_protocol_is_a_text_column() {
        text_column::<Protocol>("tcp", "TCP");
    }

    #[test]
    fn listeners_are_text_columns() {
        text_column::<Listener>("tcp:443", "tcp:0");
        text_column::<Listeners>("udp:1194,tcp:443", "udp:1194,udp:1194");
    }

    #[test]
    fn a_role_is_a_text_column() {
        text_column::<Role>("standby", "away");
    }

    #[test]
    fn an_openvpn_state_is_a_text_column() {
        for state in OpenvpnState::ALL {
            text_column::<OpenvpnState>(state.as_str(), "gone");
        }
    }

    #[test]
    fn a_digest_is_a_text_column() {
        text_column::<StateDigest>("00000000deadbeef", "deadbeef");
    }

    #[test]
    fn a_node_key_is_a_text_column() {
        let key = nkeys::KeyPair::new_user().public_key();
        text_column::<NodePublicKey>(&key, "UABC");
    }

    #[test]
    fn uuid_ids_are_uuid_columns_and_refuse_text() {
        let id = Uuid::now_v7();
        round_trip(UserKey(id), Value::from(id));
        round_trip(AgentInstance(id), Value::from(id));
        round_trip(IntentId(id), Value::from(id));
        round_trip(EventId(id), Value::from(id));
        let text = || Value::from(id.to_string());
        assert!(<UserKey as ValueType>::try_from(text()).is_err());
        assert!(<AgentInstance as ValueType>::try_from(text()).is_err());
        assert!(<IntentId as ValueType>::try_from(text()).is_err());
        assert!(<EventId as ValueType>::try_from(text()).is_err());
    }

    #[test]
    fn a_network_is_a_json_column() {
        let network = Network {
            redirect_gateway: true,
            ..Network::default()
        };
        let stored = serde_json::to_value(&network).expect("JSON");
        round_trip(network, Value::from(stored));
        assert!(<Network as ValueType>::try_from(Value::from(serde_json::json!({ "routes": [5] }))).is_err());
    }

    #[test]
    fn the_database_counts_no_id_up() {
        assert!(NodeId::try_from_u64(1).is_err());
        assert!(AgentInstance::try_from_u64(1).is_err());
    }
}
