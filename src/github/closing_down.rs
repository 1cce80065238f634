//! Logs when GitHub announces the end of the REST API version in use.
//!
//! GitHub docs, "API versions": `Deprecation` and `Sunset` announce it, both as HTTP dates; after the second one every
//! request is answered 410.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::Timestamp;
use reqwest::header::HeaderMap;

use super::meter::{header, http_date};

/// The version of the REST API that this service requests.
pub(super) const API_VERSION: &str = "2022-11-28";

/// Whether the announcement was logged in this execution environment.
#[derive(Debug, Default)]
pub(super) struct ClosingDown(AtomicBool);

impl ClosingDown {
    /// Logs it once. Of the headers only dates are repeated.
    pub(super) fn note(&self, headers: &HeaderMap) {
        let is_announced = ["deprecation", "sunset"].iter().any(|name| headers.contains_key(*name));
        if !is_announced || self.0.swap(true, Ordering::Relaxed) {
            return;
        }
        let date = |name| {
            let date = header(headers, name).and_then(date);
            date.map_or_else(|| "not given".to_owned(), |date| format!("{date:.0}"))
        };
        tracing::warn!(
            github.api_version = API_VERSION,
            github.deprecation = date("deprecation"),
            github.sunset = date("sunset"),
            "GitHub is closing down the REST API version {API_VERSION}, which this service uses; deploy a release with a \
             newer one before the sunset."
        );
    }
}

/// An HTTP date, or `@` with seconds, which is the form of RFC 9745.
fn date(text: &str) -> Option<Timestamp> {
    match text.strip_prefix('@') {
        Some(seconds) => Timestamp::from_second(seconds.parse().ok()?).ok(),
        None => http_date(text),
    }
}
