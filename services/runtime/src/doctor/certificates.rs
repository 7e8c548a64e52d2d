//! How long certificates are still valid.

use std::time::{Duration, SystemTime};

use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use thiserror::Error;
use x509_parser::parse_x509_certificate;

use super::check::{Trouble, Verdict};

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = HOUR.saturating_mul(24);
/// So long before its end somebody should see to it.
const SOON: Duration = DAY.saturating_mul(30);
/// So long before it counts as failed: nothing may be in the way any more.
const NOW: Duration = DAY.saturating_mul(3);
/// One that lives shorter than four months is looked at later: certificates that renew themselves do it when a third of their life is left.
const SOON_OF_LIFE: u32 = 4;
/// The same of what counts as failed.
const NOW_OF_LIFE: u32 = 12;

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Before that nobody takes it.
    pub begins: SystemTime,
    /// After that nobody takes it.
    pub ends: SystemTime,
}

/// Not a certificate.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// There is none, or its text is damaged.
    #[error("it holds no certificate in PEM")]
    Pem,
    /// Its content is none.
    #[error("a certificate in it cannot be read")]
    Der,
}

/// The life of that of the certificates in a PEM text that ends first.
///
/// # Errors
/// There is none, or one cannot be read.
pub fn life_of_pem(pem: &[u8]) -> Result<Life, CertificateError> {
    let mut first: Option<Life> = None;
    for found in CertificateDer::pem_slice_iter(pem) {
        let life = life_of_der(&found.map_err(|_damaged| CertificateError::Pem)?)?;
        if first.is_none_or(|first| life.ends < first.ends) {
            first = Some(life);
        }
    }
    first.ok_or(CertificateError::Pem)
}

/// The life of a certificate.
///
/// # Errors
/// It is none.
pub fn life_of_der(der: &[u8]) -> Result<Life, CertificateError> {
    let (_, certificate) = parse_x509_certificate(der).map_err(|_unclear| CertificateError::Der)?;
    let validity = certificate.validity();
    // What was before 1970 was long ago.
    let moment =
        |seconds: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    Ok(Life {
        begins: moment(validity.not_before.timestamp()),
        ends: moment(validity.not_after.timestamp()),
    })
}

/// Whether a certificate is still good at `now`, and what renews it.
#[must_use]
pub fn validity(life: Life, now: SystemTime, mend: &str) -> Verdict {
    let Life { begins, ends } = life;
    if now < begins {
        let found = format!("it is not valid before {}", humantime::format_rfc3339_seconds(begins));
        let why = "this clock is behind, or that of the machine that made it was ahead";
        return Verdict::Failed(Trouble::new(found, why, "timedatectl"));
    }
    let at = humantime::format_rfc3339_seconds(ends);
    let Ok(left) = ends.duration_since(now) else {
        let found = format!("it ended at {at}");
        return Verdict::Failed(Trouble::new(found, "nobody takes it any more", mend));
    };
    let found = match left < DAY {
        true => format!("it ends at {at}, in {} hours", left.as_secs() / HOUR.as_secs()),
        false => format!("it ends at {at}, in {} days", left.as_secs() / DAY.as_secs()),
    };
    let why = "after that nobody takes it";
    let whole = ends.duration_since(begins).unwrap_or_default();
    if left < NOW.min(whole / NOW_OF_LIFE) {
        Verdict::Failed(Trouble::new(found, why, mend))
    } else if left < SOON.min(whole / SOON_OF_LIFE) {
        Verdict::Warning(Trouble::new(found, why, mend))
    } else {
        Verdict::Fine(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate of this life, looked at so long before its end.
    fn judged(whole: Duration, left: Duration) -> Verdict {
        let ends = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let begins = ends - whole;
        validity(Life { begins, ends }, ends - left, "renew")
    }

    #[test]
    fn an_end_that_is_near_is_a_warning_and_one_that_is_here_a_failure() {
        let years = DAY * 800;
        assert!(matches!(judged(years, DAY * 400), Verdict::Fine(found) if found.ends_with("in 400 days")));
        assert!(matches!(judged(years, DAY * 29), Verdict::Warning(_)));
        assert!(matches!(judged(years, DAY * 2), Verdict::Failed(_)));
        let ends = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let begins = ends - years;
        let ended = validity(Life { begins, ends }, ends + DAY, "renew");
        assert!(matches!(ended, Verdict::Failed(trouble) if trouble.found.starts_with("it ended at 2024-10-04")));
        let too_early = validity(Life { begins, ends }, begins - DAY, "renew");
        assert!(matches!(too_early, Verdict::Failed(trouble) if trouble.found.starts_with("it is not valid before")));
    }

    #[test]
    fn what_renews_itself_every_day_is_no_trouble_while_it_does() {
        assert!(matches!(judged(DAY, HOUR * 8), Verdict::Fine(found) if found.ends_with("in 8 hours")));
        assert!(matches!(judged(DAY, HOUR * 5), Verdict::Warning(_)));
        assert!(matches!(judged(DAY, HOUR), Verdict::Failed(_)));
        assert!(matches!(judged(DAY * 90, DAY * 29), Verdict::Fine(_)));
        assert!(matches!(judged(DAY * 90, DAY * 22), Verdict::Warning(_)));
    }

    #[test]
    fn what_is_no_certificate_has_no_end() {
        assert!(matches!(life_of_pem(b""), Err(CertificateError::Pem)));
        let none = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(life_of_pem(none), Err(CertificateError::Der)));
    }
}
