//! A GitHub App's private key, and what it signs: the App's word that it is the one who asks.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use crate::secrets::Secret;

/// How far back the App's word is dated, in seconds: our clock may be ahead of GitHub's by as much.
const DATED_BACK: i64 = 60;

/// For how long it is good, from now. GitHub takes at most ten minutes from its own now, so this too leaves a minute
/// for our clock to be ahead, and half of one for the way.
const GOOD_FOR: i64 = 510;

/// The key of a GitHub App.
#[derive(Debug)]
pub(super) struct AppKey {
    /// The App's id, or its client id: GitHub takes both.
    app_id: String,
    pair: RsaKeyPair,
    /// Whether GitHub was asked with it and did not refuse the App.
    was_tried: AtomicBool,
}

/// The text is not an RSA key that can sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoKey;

impl AppKey {
    /// A key in PEM: PKCS#1, as GitHub makes it, or PKCS#8.
    pub(super) fn read(app_id: &str, pem: &str) -> Result<Self, NoKey> {
        // Who puts a PEM into JSON by hand often escapes its line ends twice.
        let pem = pem.replace("\\n", "\n");
        let pair = match PrivateKeyDer::from_pem_slice(pem.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            _ => return Err(NoKey),
        };
        let pair = pair.map_err(|_| NoKey)?;
        Ok(Self { app_id: app_id.to_owned(), pair, was_tried: AtomicBool::new(false) })
    }

    pub(super) fn was_tried(&self) -> bool {
        self.was_tried.load(Ordering::Relaxed)
    }

    pub(super) fn note_tried(&self) {
        self.was_tried.store(true, Ordering::Relaxed);
    }

    /// A JSON Web Token that says who asks, and is good for some minutes.
    pub(super) fn sign(&self, now: Timestamp) -> Secret {
        let at = |seconds| (now + SignedDuration::from_secs(seconds)).as_second();
        let issuer = match self.app_id.parse::<u64>() {
            Ok(number) => json!(number),
            Err(_) => json!(self.app_id),
        };
        let part = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let header = part(json!({ "alg": "RS256", "typ": "JWT" }));
        let claims = part(json!({ "iat": at(-DATED_BACK), "exp": at(GOOD_FOR), "iss": issuer }));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("the signature is as long as the modulus");
        Secret::new(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}
