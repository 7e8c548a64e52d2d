//! Work on a thread of its own, which may give way to all others.
//!
//! Thieves and strangers have machines of their own in the field. Here they share the cores with those whom they trouble, and what they need
//! to send is not to be measured.

use std::thread;

use anyhow::Context as _;
use rustix::process::nice;
use tokio::sync::oneshot;

/// Lets `deed` run on a thread called `name`; when it `gives_way` it runs only where nobody else wants the core.
pub(crate) async fn apart<T, D>(name: &str, gives_way: bool, deed: D) -> anyhow::Result<T>
where
    T: Send + 'static,
    D: AsyncFnOnce() -> anyhow::Result<T> + Send + 'static,
{
    let (sender, done) = oneshot::channel();
    let work = move || {
        if gives_way {
            nice(19)?;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(deed())
    };
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nobody waits any more when the work was interrupted.
        let _gone = sender.send(work());
    })?;
    done.await.with_context(|| format!("the thread {name:?} ended"))?
}
