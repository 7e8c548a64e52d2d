//! A pool in the API: the bodies of requests and of answers.

use chrono::DateTime;
use poem_openapi::Object;
use poem_openapi::types::{Example, MaybeUndefined};
use vpnmanager_openapi::Clearable;
use vpnmanager_openapi::contract::scalars::PoolText;
use vpnmanager_openapi::problem::ApiError;
use vpnmanager_openapi::time::Timestamp;

use super::directives::{self, DirectiveText};
use super::network::{NetworkBody, NetworkView};
use crate::ops::pools::change::PoolChange;
use crate::ops::pools::create::NewPool;
use crate::ops::pools::read::PoolView;

/// A pool to create.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example, rename = "NewPool")]
pub(crate) struct NewPoolBody {
    /// The name: a letter or digit, then letters, digits, `_` or `-`. Agents name it as `POOL`.
    name: PoolText,
    /// What its users reach through the tunnel; without it the servers leave routes, NAT and firewall of their machines alone.
    network: Option<NetworkBody>,
    /// Servers for each user, the home included; without it as many as `PLACEMENT_REPLICAS` says.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    replicas: Option<i16>,
    /// Extra lines of the profiles of its users. A user has those of the pool of her home. `block-outside-dns` needs `dns_servers` of `network` that
    /// clients reach through the tunnel.
    #[oai(default, validator(max_items = 16))]
    client_directives: Vec<DirectiveText>,
}

/// What to change; fields that are left out keep their value.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct PoolChanges {
    /// What its users reach through the tunnel, as a whole; `null`: the servers push nothing and let nothing through
    /// their tunnels, and leave the rest of their machines alone.
    network: Clearable<NetworkBody>,
    /// Servers for each user, the home included; `null`: as many as `PLACEMENT_REPLICAS` says.
    #[oai(validator(minimum(value = "1"), maximum(value = "16")))]
    replicas: Clearable<i16>,
    /// Extra lines of the profiles of its users, as a whole. A user has those of the pool of her home.
    #[oai(validator(max_items = 16))]
    client_directives: Option<Vec<DirectiveText>>,
}

/// A pool: a group of servers. All servers of a user are in one pool.
#[derive(Debug, Clone, Object)]
#[oai(skip_serializing_if_is_none, example)]
pub(crate) struct Pool {
    /// Its name.
    name: String,
    /// It starts at 1 and grows by one with each change of `network` or `replicas`.
    revision: i64,
    /// What its users reach through the tunnel; absent: the servers leave routes, NAT and firewall of their machines alone.
    network: Option<NetworkView>,
    /// Servers for each user, the home included; absent: as many as `PLACEMENT_REPLICAS` says.
    replicas: Option<i16>,
    /// Extra lines of the profiles of its users.
    client_directives: Vec<String>,
    /// Its servers, those on their way into it or out of it included.
    nodes: i64,
    /// Its users.
    users: i64,
    /// When it was made.
    created_at: Timestamp,
    /// When it was changed last.
    changed_at: Timestamp,
}

impl Pool {
    pub(super) fn of(view: PoolView) -> Self {
        let PoolView { pool, members } = view;
        Self {
            name: pool.name.to_string(),
            revision: pool.revision,
            network: pool.network.map(NetworkView::of),
            replicas: pool.replicas,
            client_directives: pool.client_directives,
            nodes: members.nodes,
            users: members.users,
            created_at: pool.created_at.into(),
            changed_at: pool.changed_at.into(),
        }
    }

    /// The path of the pool in this API.
    pub(super) fn location(&self) -> String {
        format!("/api/pools/{}", self.name)
    }
}

impl NewPoolBody {
    pub(super) fn into_new_pool(self) -> Result<NewPool, ApiError> {
        Ok(NewPool {
            name: self.name.0,
            network: self.network.map(NetworkBody::into_network).transpose()?,
            replicas: self.replicas,
            client_directives: directives::parsed(&self.client_directives)?,
        })
    }
}

impl PoolChanges {
    pub(super) fn into_change(self) -> Result<PoolChange, ApiError> {
        Ok(PoolChange {
            network: match self.network.0 {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(network) => Some(Some(network.into_network()?)),
            },
            replicas: match self.replicas.0 {
                MaybeUndefined::Undefined => None,
                MaybeUndefined::Null => Some(None),
                MaybeUndefined::Value(replicas) => Some(Some(replicas)),
            },
            client_directives: match &self.client_directives {
                Some(entries) => Some(directives::parsed(entries)?),
                None => None,
            },
        })
    }
}

impl Example for NewPoolBody {
    fn example() -> Self {
        Self {
            name: PoolText("sales".parse().expect("a valid pool")),
            network: Some(NetworkBody::example()),
            replicas: Some(2),
            client_directives: directives::example(),
        }
    }
}

impl Example for PoolChanges {
    fn example() -> Self {
        Self {
            network: Clearable(MaybeUndefined::Value(NetworkBody::example())),
            replicas: Clearable(MaybeUndefined::Undefined),
            client_directives: None,
        }
    }
}

impl Example for Pool {
    fn example() -> Self {
        let at = |seconds| Timestamp::from(DateTime::from_timestamp(seconds, 0).unwrap_or_default());
        Self {
            name: "sales".to_owned(),
            revision: 7,
            network: NetworkBody::example()
                .into_network()
                .ok()
                .map(|network| NetworkView::of(network.into_network())),
            replicas: Some(2),
            client_directives: directives::example().into_iter().map(|text| text.0).collect(),
            nodes: 3,
            users: 120,
            created_at: at(1_795_000_000),
            changed_at: at(1_795_086_400),
        }
    }
}
