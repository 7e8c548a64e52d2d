//! Fetches a profile from the node that stores it. Management passes it on and stores it nowhere.

use sea_orm::DbErr;
use secrecy::SecretString;
use vpnmanager_entities::{credential, user};
use vpnmanager_nats::{
    envelope::DecodeError,
    ids::{CommonName, NodeId},
    node_requests::{NodeAnswer, NodeRequest},
    username::Username,
};

use crate::app::App;
use crate::ops::nodes::ask::{AskNodeError, ask_node};

/// A profile as the node holds it.
#[derive(Debug)]
pub struct Profile {
    /// The credential.
    pub common_name: CommonName,
    /// The whole `.ovpn` file, private key included.
    pub text: SecretString,
    /// SHA-256 of the file, lower-case hex.
    pub checksum: String,
}

/// Why the profile could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchProfileError {
    /// No living user has the name.
    #[error("there is no such user")]
    UnknownUser,
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
    /// The home node answered with a failure.
    #[error("server {server} failed to send the profile: {detail}")]
    NodeFailed {
        /// The home node.
        server: NodeId,
        /// The explanation of the node.
        detail: String,
    },
    /// The answer could not be decoded.
    #[error("decoding the answer of server {server} failed")]
    Answer {
        /// The home node.
        server: NodeId,
        /// Why.
        #[source]
        source: DecodeError,
    },
    /// The database did not answer.
    #[error("reading the user failed")]
    Database(#[from] DbErr),
}

impl FetchProfileError {
    fn of_asking(server: NodeId, error: AskNodeError) -> Self {
        match error {
            AskNodeError::Unreachable => Self::NodeUnreachable(server),
            AskNodeError::Request(error) => Self::NodeFailed {
                server,
                detail: error.to_string(),
            },
            AskNodeError::Answer(source) => Self::Answer { server, source },
        }
    }
}

/// Fetches the profile of a living user's newest credential.
pub async fn fetch_profile(app: &App, username: &Username) -> Result<Profile, FetchProfileError> {
    let found = user::Entity::find_living_by_username(username).one(&app.db).await?;
    let user = found.ok_or(FetchProfileError::UnknownUser)?;
    let server = user.server_id.clone();
    let credentials = credential::Entity::find_valid_of([user.id]).all(&app.db).await?;
    let homed = credentials
        .iter()
        .rev()
        .find(|credential| credential.server_id == server);
    let issued = homed.filter(|credential| credential.profile_checksum.is_some());
    let Some(common_name) = issued.map(|credential| credential.common_name.clone()) else {
        if user.synced {
            // The home has acked without a profile: it lost the key that the certificate was signed for.
            let detail = "its key was lost before the profile was made".to_owned();
            return Err(FetchProfileError::NotHeld { server, detail });
        }
        return Err(FetchProfileError::NotIssuedYet(server));
    };

    let request = NodeRequest::Profile {
        user_key: user.key,
        common_name: common_name.clone(),
    };
    let answer = ask_node(app, &server, request)
        .await
        .map_err(|error| FetchProfileError::of_asking(server.clone(), error))?;
    match answer {
        NodeAnswer::Profile { profile, checksum } => Ok(Profile {
            common_name,
            text: profile.into(),
            checksum,
        }),
        NodeAnswer::NotFound { detail } => Err(FetchProfileError::NotHeld { server, detail }),
        NodeAnswer::Failed { error } => Err(FetchProfileError::NodeFailed { server, detail: error }),
        NodeAnswer::Sessions { .. } | NodeAnswer::Done => Err(FetchProfileError::NodeFailed {
            server,
            detail: "its answer does not fit the request".to_owned(),
        }),
    }
}
