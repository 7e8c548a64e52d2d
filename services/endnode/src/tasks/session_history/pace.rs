//! When the next look begins.

use std::{future::pending, time::Duration};

use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// The longest time between two looks that take little.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two looks, however many clients log in.
const BREATH: Duration = Duration::from_millis(200);
/// After a look that took long passes so many times as long before the next one. OpenVPN serves nobody while it lists its clients, and a
/// long list takes long.
const REST: u32 = 10;
/// But no more than this: one look that stalled must not make all ends until the next one assumed ones.
const LONGEST: Duration = Duration::from_secs(3);

/// Until the next look, after one that took so long.
pub(super) async fn pause(logins: &mut watch::Receiver<u64>, took: Duration) {
    let breath = took.saturating_mul(REST).clamp(BREATH, LONGEST);
    sleep(breath).await;
    let login = async {
        if logins.changed().await.is_err() {
            // A server that has gone tells of no logins.
            pending::<()>().await;
        }
    };
    _ = timeout(LOOK.saturating_sub(breath), login).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Timers are as exact as this.
    const EXACT: u128 = 5;

    #[tokio::test(start_paused = true)]
    async fn a_look_waits_ten_times_as_long_as_the_one_before_took() {
        for (took, after_login, without) in [
            (0, 200, 1000),
            (20, 200, 1000),
            (50, 500, 1000),
            (250, 2500, 2500),
            (900, 3000, 3000),
        ] {
            for (is_login, expected) in [(true, after_login), (false, without)] {
                let (sender, mut logins) = watch::channel(0);
                if is_login {
                    sender.send_replace(1);
                }
                let began = Instant::now();

                pause(&mut logins, Duration::from_millis(took)).await;

                let paused = began.elapsed().as_millis();
                assert!(
                    (expected..expected + EXACT).contains(&paused),
                    "{took} ms, a login: {is_login}: {paused} ms"
                );
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_has_gone_is_looked_at_each_second() {
        let (sender, mut logins) = watch::channel(0);
        drop(sender);
        let began = Instant::now();

        pause(&mut logins, Duration::ZERO).await;

        assert!((1000..1000 + EXACT).contains(&began.elapsed().as_millis()));
    }
}
