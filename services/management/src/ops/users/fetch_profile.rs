//! Composes a profile. The key and the tls-crypt-v2 client key come from the node that stores them; everything else is what management knows.
//! Management stores neither.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};
use vpnmanager_entities::{credential, placement, server, user};
use vpnmanager_nats::{
    commands::Remote,
    device::DeviceName,
    envelope::DecodeError,
    ids::{CommonName, NodeId},
    network::Mtu,
    node_requests::{NodeAnswer, NodeRequest, ProfileParts as SentParts},
    username::Username,
};
use vpnmanager_profile::{
    parts::{self, Known, Sent, UnfitPart},
    profile::{Extras, Profile as ProfileText, ProfileError, ProfileParts},
};
use vpnmanager_runtime::error_chain::chain;

use crate::app::App;
use crate::domain::acks::is_settled;
use crate::domain::client_directives::{ClientDirectives, UnfitDirective};
use crate::domain::command::{Endpoint, remotes};
use crate::domain::device::current_credentials;
use crate::ops::certificates::authorities::trusted_bundle;
use crate::ops::nodes::{
    ask::{AskNodeError, ask_node},
    note_unfit_answer::note_unfit_answer,
};
use crate::ops::pools::read::{StoredExtras, profile_extras_of};

/// A profile for an operator.
#[derive(Debug)]
pub struct Profile {
    /// The device that it is for.
    pub device: DeviceName,
    /// The credential.
    pub common_name: CommonName,
    /// The home node, which sent the key.
    pub server: NodeId,
    /// The whole `.ovpn` file, private key included.
    pub text: ProfileText,
    /// SHA-256 of the file, lower-case hex. It differs from the checksum of the node's own file when the user's nodes have changed since the node
    /// wrote that, and when the fleet has a name or the pool extra directives or an MTU: the node's own file has none of them.
    pub checksum: String,
}

/// Why the profile could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchProfileError {
    /// No living user has the name.
    #[error("there is no such user")]
    UnknownUser,
    /// The user has no such device.
    #[error("the user has no device {0}")]
    UnknownDevice(DeviceName),
    /// The home node has not issued the profile yet.
    #[error("server {0} has not issued the profile yet")]
    NotIssuedYet(NodeId),
    /// The home node lost the profile, or never had it.
    #[error("server {server} does not hold the profile: {detail}")]
    NotHeld {
        /// The home node.
        server: NodeId,
        /// The explanation of the node.
        detail: String,
    },
    /// The home node is away.
    #[error("server {0}, which stores the profile, cannot be reached")]
    NodeUnreachable(NodeId),
    /// The certificate of the profile has ended.
    #[error("the certificate of the profile ended at {at}")]
    Ended {
        /// When.
        at: DateTime<Utc>,
    },
    /// The home node answered with a failure.
    #[error("server {server} failed to send the profile: {detail}")]
    NodeFailed {
        /// The home node.
        server: NodeId,
        /// The explanation of the node.
        detail: String,
    },
    /// The home node answered, but not with what belongs into this profile.
    #[error("the answer of server {server} is not taken")]
    Unfit {
        /// The home node.
        server: NodeId,
        /// Why.
        #[source]
        source: UnfitAnswer,
    },
    /// The profile could not be put together.
    #[error("putting the profile together failed")]
    Compose(#[from] ProfileError),
    /// The pool of the home has a directive that this release does not know, or directives that contradict each other.
    #[error("the pool {pool} has a directive for clients that this release does not take")]
    Directive {
        /// The pool.
        pool: NodeId,
        /// Which, and why.
        #[source]
        source: UnfitDirective,
    },
    /// The database did not answer.
    #[error("reading the user failed")]
    Database(#[from] DbErr),
}

/// Why an answer is not taken. Neither it nor a cause of it quotes the answer, which may hold a private key.
#[derive(Debug, thiserror::Error)]
pub enum UnfitAnswer {
    /// It could not be decoded.
    #[error("it cannot be decoded")]
    Undecodable(#[source] DecodeError),
    /// The agent is of a release that sends whole profiles.
    #[error("its agent is older than this management and sends whole profiles, which are not taken: update the agent")]
    OlderAgent,
    /// The answer to something else.
    #[error("it does not fit the request")]
    OtherAnswer,
    /// A part is not what it has to be.
    #[error(transparent)]
    Part(#[from] UnfitPart),
}

impl FetchProfileError {
    fn of_asking(server: NodeId, error: AskNodeError) -> Self {
        match error {
            AskNodeError::Unreachable => Self::NodeUnreachable(server),
            AskNodeError::Request(error) => Self::NodeFailed {
                server,
                detail: error.to_string(),
            },
            AskNodeError::Answer(source) => Self::unfit(server, UnfitAnswer::Undecodable(source)),
        }
    }

    fn unfit(server: NodeId, source: UnfitAnswer) -> Self {
        Self::Unfit { server, source }
    }
}

/// Fetches the profile of the current credential of a living user's device. An answer of the node that is not taken is logged and audited.
pub async fn fetch_profile(app: &App, username: &Username, device: &DeviceName) -> Result<Profile, FetchProfileError> {
    let found = user::Entity::find_living_by_username(username).one(&app.db).await?;
    let user = found.ok_or(FetchProfileError::UnknownUser)?;
    fetch_profile_of(app, &user, device).await
}

/// The same for a user that was read before.
pub async fn fetch_profile_of(
    app: &App,
    user: &user::Model,
    device: &DeviceName,
) -> Result<Profile, FetchProfileError> {
    let fetched = fetch(app, user, device).await;
    if let Err(FetchProfileError::Unfit { server, source }) = &fetched {
        let reason = chain(source).to_string();
        note_unfit_answer(app, server, &user.username, &reason).await;
    }
    fetched
}

/// Whether there is a profile of the device to fetch, as far as management knows without asking the home.
///
/// # Errors
/// What [`fetch_profile_of`] would say of it.
pub async fn check_issued(
    db: &impl ConnectionTrait,
    user: &user::Model,
    device: &DeviceName,
) -> Result<(), FetchProfileError> {
    issued(db, user, device).await.map(drop)
}

/// The credential that a profile is of.
struct Issued {
    common_name: CommonName,
    certificate: String,
}

async fn issued(
    db: &impl ConnectionTrait,
    user: &user::Model,
    device: &DeviceName,
) -> Result<Issued, FetchProfileError> {
    let server = user.server_id.clone();
    let credentials = credential::Entity::find_valid_of([user.id])
        .filter(credential::Column::Device.eq(device.clone()))
        .all(db)
        .await?;
    if credentials.is_empty() {
        return Err(FetchProfileError::UnknownDevice(device.clone()));
    }
    let homed = current_credentials(&credentials, &server).into_iter().next();
    if let Some(at) = homed
        .and_then(|credential| credential.not_after)
        .filter(|end| *end <= Utc::now())
    {
        return Err(FetchProfileError::Ended { at });
    }
    let issued = homed
        .filter(|credential| credential.profile_checksum.is_some())
        .and_then(|credential| {
            Some(Issued {
                common_name: credential.common_name.clone(),
                certificate: credential.certificate.clone()?,
            })
        });
    let Some(issued) = issued else {
        let at_home = placement::Entity::find_of([user.id])
            .filter(placement::Column::ServerId.eq(server.clone()))
            .one(db)
            .await?;
        if at_home.as_ref().is_some_and(is_settled) {
            // The home has acked without a profile: it lost the key that the certificate was signed for.
            let detail = "its key was lost before the profile was made".to_owned();
            return Err(FetchProfileError::NotHeld { server, detail });
        }
        return Err(FetchProfileError::NotIssuedYet(server));
    };
    Ok(issued)
}

async fn fetch(app: &App, user: &user::Model, device: &DeviceName) -> Result<Profile, FetchProfileError> {
    let Issued {
        common_name,
        certificate,
    } = issued(&app.db, user, device).await?;
    let server = user.server_id.clone();
    let request = NodeRequest::Profile {
        user_key: user.key,
        common_name: common_name.clone(),
    };
    let answer = ask_node(app, &server, request)
        .await
        .map_err(|error| FetchProfileError::of_asking(server.clone(), error))?;
    let sent = parts_of(&server, answer)?;
    let known = Known {
        common_name: &common_name,
        certificate: &certificate,
        server_key: app.pki.tls_crypt_v2_server_key(),
    };
    let checked = parts::check(&as_sent(&sent), &known)
        .map_err(|unfit| FetchProfileError::unfit(server.clone(), UnfitAnswer::Part(unfit)))?;

    let remotes = remotes_of(app, user).await?;
    let ca = trusted_bundle(&app.db).await?;
    let parts = ProfileParts {
        remotes: &remotes,
        server_name_prefix: app.pki.server_name_prefix(),
        ca: &ca,
        certificate: &checked.certificate,
        key: &checked.key,
        tls_crypt_v2: &checked.tls_crypt_v2,
    };
    let of_pool = of_pool(app, &server).await?;
    let extras = Extras {
        fleet_name: app.config.fleet_name.as_ref(),
        directives: of_pool.directives.as_slice(),
        mtu: of_pool.mtu,
    };
    let text = ProfileText::render_with(&parts, &extras)?;
    Ok(Profile {
        device: device.clone(),
        common_name,
        server,
        checksum: text.checksum(),
        text,
    })
}

fn parts_of(server: &NodeId, answer: NodeAnswer) -> Result<SentParts, FetchProfileError> {
    let server = server.clone();
    match answer {
        NodeAnswer::ProfileParts(parts) => Ok(parts),
        NodeAnswer::NotFound { detail } => Err(FetchProfileError::NotHeld { server, detail }),
        NodeAnswer::Failed { error } => Err(FetchProfileError::NodeFailed { server, detail: error }),
        NodeAnswer::Profile { .. } => Err(FetchProfileError::unfit(server, UnfitAnswer::OlderAgent)),
        NodeAnswer::Sessions { .. }
        | NodeAnswer::Users { .. }
        | NodeAnswer::Disconnected { .. }
        | NodeAnswer::Acked { .. }
        | NodeAnswer::Done => Err(FetchProfileError::unfit(server, UnfitAnswer::OtherAnswer)),
    }
}

fn as_sent(parts: &SentParts) -> Sent<'_> {
    Sent {
        certificate: &parts.certificate,
        key: &parts.key,
        tls_crypt_v2: &parts.tls_crypt_v2,
    }
}

/// What a profile says of the pool of its home.
#[derive(Default)]
struct OfPool {
    directives: ClientDirectives,
    mtu: Option<Mtu>,
}

async fn of_pool(app: &App, home: &NodeId) -> Result<OfPool, FetchProfileError> {
    let Some(stored) = profile_extras_of(&app.db, home).await? else {
        return Ok(OfPool::default());
    };
    let StoredExtras {
        pool,
        client_directives,
        network,
    } = stored;
    let directives = ClientDirectives::of_stored(&client_directives);
    Ok(OfPool {
        directives: directives.map_err(|source| FetchProfileError::Directive { pool, source })?,
        mtu: network.and_then(|network| network.mtu),
    })
}

/// Where the user's clients connect by what is true at this moment, as in a command: the home first.
async fn remotes_of(app: &App, user: &user::Model) -> Result<Vec<Remote>, DbErr> {
    let placed = placement::Entity::find_of([user.id])
        .filter(placement::COLUMN.wanted_present.eq(true))
        .all(&app.db)
        .await?;
    let nodes: Vec<NodeId> = placed.into_iter().map(|placement| placement.server_id).collect();
    let servers = server::Entity::find()
        .filter(server::Column::Name.is_in(nodes.iter().cloned()))
        .all(&app.db)
        .await?;
    let endpoints = servers
        .iter()
        .map(|server| (server.name.clone(), Endpoint::of(server)))
        .collect();
    Ok(remotes(&nodes, &endpoints))
}
