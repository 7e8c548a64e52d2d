//! Answers that come in parts, for as long as it takes.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use progenitor_client::ByteStream;
use tokio::time::timeout;

use crate::api::{Api, Sent};
use crate::failure::{Failure, Kind};

/// What comes of such an answer.
pub(crate) struct Parts<'api> {
    api: &'api Api,
    stream: ByteStream,
    /// Longer than so nothing is waited for.
    silence: Duration,
}

impl Api {
    /// Waits for the beginning of an answer.
    pub(crate) async fn parts(
        &self,
        silence: Duration,
        sent: impl Future<Output = Sent<ByteStream>>,
    ) -> Result<Parts<'_>, Failure> {
        let begun = timeout(silence, self.answer(sent)).await;
        Ok(Parts {
            api: self,
            stream: begun.map_err(|_| self.silent())??,
            silence,
        })
    }

    fn silent(&self) -> Failure {
        let text = format!("cannot reach management at {}: nothing comes any more", self.url());
        Failure::new(Kind::Unreachable, text)
    }
}

impl Parts<'_> {
    /// What came next; `None`: it was all.
    pub(crate) async fn next(&mut self) -> Result<Option<bytes::Bytes>, Failure> {
        let next = timeout(self.silence, self.stream.next()).await;
        match next.map_err(|_| self.api.silent())? {
            Some(Ok(part)) => Ok(Some(part)),
            Some(Err(error)) => Err(self.api.unreachable(&error)),
            None => Ok(None),
        }
    }
}
