//! A GitHub App's private key, and the JSON Web Tokens that it signs.

use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use crate::secrets::Secret;

/// How far back a token's `iat` is dated, in seconds: our clock may be ahead of GitHub's by as much.
const DATED_BACK: i64 = 60;

/// For how long a token is valid, in seconds from now. GitHub accepts at most ten minutes from its own now. That leaves
/// a minute for our clock to be ahead, and half a minute for the request to arrive.
const VALID_FOR: i64 = 510;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// The key of a GitHub App.
#[derive(Debug)]
pub(super) struct AppKey {
    /// The App's id, or its client id: GitHub takes both.
    app_id: String,
    pair: RsaKeyPair,
    /// Whether a request was signed with it and GitHub did not refuse the App.
    was_tried: AtomicBool,
}

impl AppKey {
    /// Parses a key in PEM: PKCS#1, as GitHub generates it, or PKCS#8. Its line ends may have become the two characters
    /// `\n`, spaces or nothing. The PEM may be encoded in base64 once more, or lack its first and last line.
    ///
    /// # Errors
    /// What the text looks like instead.
    pub(super) fn read(app_id: &str, text: &str) -> Result<Self, &'static str> {
        let pair = key_pair(text)?;
        Ok(Self { app_id: app_id.to_owned(), pair, was_tried: AtomicBool::new(false) })
    }

    pub(super) fn was_tried(&self) -> bool {
        self.was_tried.load(Ordering::Relaxed)
    }

    pub(super) fn note_tried(&self) {
        self.was_tried.store(true, Ordering::Relaxed);
    }

    /// A JSON Web Token that identifies the App and is valid for some minutes.
    pub(super) fn sign(&self, now: Timestamp) -> Secret {
        let at = |seconds| (now + SignedDuration::from_secs(seconds)).as_second();
        let issuer = match self.app_id.parse::<u64>() {
            Ok(number) => json!(number),
            Err(_) => json!(self.app_id),
        };
        let part = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let header = part(json!({ "alg": "RS256", "typ": "JWT" }));
        let claims = part(json!({ "iat": at(-DATED_BACK), "exp": at(VALID_FOR), "iss": issuer }));
        let signed = format!("{header}.{claims}");
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .expect("the signature is as long as the modulus");
        Secret::new(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn key_pair(text: &str) -> Result<RsaKeyPair, &'static str> {
    // People who put a PEM into JSON by hand often escape its line ends twice.
    let text = text.replace("\\r", "").replace("\\n", "\n");
    if text.contains(BEGIN) {
        return key_in_pem(&text);
    }
    let bytes = decoded(&text).ok_or("a text that is neither PEM nor base64")?;
    match std::str::from_utf8(&bytes) {
        Ok(inner) if inner.contains(BEGIN) => key_in_pem(inner),
        _ => RsaKeyPair::from_der(&bytes)
            .or_else(|_| RsaKeyPair::from_pkcs8(&bytes))
            .map_err(|_| "base64 of data that is no key"),
    }
}

/// The first key of a PEM text, which may have lost its line ends.
fn key_in_pem(text: &str) -> Result<RsaKeyPair, &'static str> {
    let begun = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(DASHES));
    let (label, rest) = begun.ok_or("truncated PEM")?;
    let (body, _) = rest.split_once(END).ok_or("truncated PEM")?;
    let is_pkcs8 = match label {
        "RSA PRIVATE KEY" => false,
        "PRIVATE KEY" => true,
        "ENCRYPTED PRIVATE KEY" => return Err("an encrypted key"),
        "OPENSSH PRIVATE KEY" => return Err("an OpenSSH key"),
        "EC PRIVATE KEY" => return Err("an EC key"),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => return Err("a public key"),
        "CERTIFICATE" => return Err("a certificate"),
        _ => return Err("PEM with another label"),
    };
    if body.contains("ENCRYPTED") {
        return Err("an encrypted key");
    }
    let der = decoded(body).ok_or("a truncated or changed key")?;
    let pair = if is_pkcs8 { RsaKeyPair::from_pkcs8(&der) } else { RsaKeyPair::from_der(&der) };
    pair.map_err(|_| "a truncated, changed or non-RSA key")
}

fn decoded(base64: &str) -> Option<Vec<u8>> {
    STANDARD.decode(base64.split_whitespace().collect::<String>()).ok()
}
