//! Sends the same request again and again, from some addresses in turn.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::bail;
use reqwest::Client;

use crate::bench::load::Work;

const PATIENCE: Duration = Duration::from_secs(30);
/// Management closes a connection on which no first request comes within ten seconds.
const IDLE: Duration = Duration::from_secs(5);

/// Whoever asks.
#[derive(Debug)]
pub(super) struct Asker {
    /// One for each address.
    clients: Vec<Client>,
    url: String,
    /// `None`: a wrong one, each time another.
    key: Option<String>,
    /// What the answer must be.
    status: u16,
    next: AtomicUsize,
    /// The first answer that was another one.
    failure: Mutex<Option<String>>,
}

impl Asker {
    /// `key`: `None` for a wrong one, each time another. `status` is what the answers must be.
    pub(super) fn new(
        addresses: impl IntoIterator<Item = Ipv4Addr>,
        url: String,
        key: Option<&str>,
        status: u16,
    ) -> anyhow::Result<Self> {
        let clients = addresses.into_iter().map(|address| {
            Client::builder()
                .local_address(IpAddr::V4(address))
                .pool_idle_timeout(IDLE)
                .timeout(PATIENCE)
                .build()
        });
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
            url,
            key: key.map(str::to_owned),
            status,
            next: AtomicUsize::new(0),
            failure: Mutex::default(),
        })
    }

    /// Fails if anything was not answered as it must be.
    pub(super) fn sound(&self) -> anyhow::Result<()> {
        match &*self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => bail!("{}: {failure}", self.url),
            None => Ok(()),
        }
    }

    /// False if it was not answered as it must be.
    async fn ask(&self) -> bool {
        let failure = match self.answer().await {
            Ok(status) if status == self.status => return true,
            Ok(status) => format!("answered {status} and not {}", self.status),
            Err(error) => format!("no answer: {:#}", anyhow::Error::from(error)),
        };
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(failure);
        false
    }

    async fn answer(&self) -> Result<u16, reqwest::Error> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let client = &self.clients[number % self.clients.len()];
        let key = match &self.key {
            Some(key) => key.clone(),
            None => format!("guess-{:016x}", fastrand::u64(..)),
        };
        let answer = client.get(&self.url).header("X-API-Key", key).send().await?;
        let status = answer.status().as_u16();
        answer.bytes().await?;
        Ok(status)
    }
}

/// Requests, as work for a loop.
pub(super) fn asks(asker: &Arc<Asker>) -> impl Fn() -> Work + Send + Sync + 'static {
    let asker = Arc::clone(asker);
    move || {
        let asker = Arc::clone(&asker);
        Box::pin(async move { asker.ask().await })
    }
}
