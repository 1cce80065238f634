//! The JSON Web Tokens with which Apps authenticate, verified as GitHub does.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{KeyPair, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::{Value, json};

/// A GitHub App's private key in PKCS#1, as GitHub makes it. It is for tests only and gives access to nothing.
pub const APP_KEY: &str = include_str!("test-only-app-key.pkcs1.pem");

/// The same key in PKCS#8.
pub const APP_KEY_PKCS8: &str = include_str!("test-only-app-key.pkcs8.pem");

const UNREADABLE: &str = "A JSON web token could not be decoded";

/// The longest validity of a token, in seconds from now.
const MAX_VALIDITY: i64 = 600;

/// A token whose signature is not verified yet.
#[derive(Debug)]
pub(super) struct Unverified {
    pub(super) issuer: String,
    issued_at: i64,
    expires_at: i64,
    signed: String,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Claims {
    iss: Value,
    iat: i64,
    exp: i64,
}

/// Signs claims with [`APP_KEY`].
pub fn app_jwt(claims: &Value) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
    let key = key();
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .expect("the signature is as long as the modulus");
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The public half of [`APP_KEY`].
pub(super) fn public_key() -> Vec<u8> {
    key().public_key().as_ref().to_vec()
}

fn key() -> RsaKeyPair {
    let lines = APP_KEY.lines().filter(|line| !line.starts_with('-'));
    let der = STANDARD.decode(lines.collect::<String>()).expect("a PEM's lines are base64");
    RsaKeyPair::from_der(&der).expect("a key of 2048 bits")
}

impl Unverified {
    /// # Errors
    ///
    /// GitHub's message about a token that it cannot decode.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, signature] = parts[..] else { return Err(UNREADABLE) };
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| UNREADABLE);
        let header: Value = serde_json::from_slice(&decode(header)?).map_err(|_| UNREADABLE)?;
        if header["alg"] != "RS256" {
            return Err(UNREADABLE);
        }
        let read: Claims = serde_json::from_slice(&decode(claims)?).map_err(|_| UNREADABLE)?;
        let issuer = match &read.iss {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            _ => return Err("'Issuer' claim ('iss') must be an Integer"),
        };
        Ok(Self {
            issuer,
            issued_at: read.iat,
            expires_at: read.exp,
            signed: text[..text.len() - signature.len() - 1].to_owned(),
            signature: decode(signature)?,
        })
    }

    /// Verifies the signature and the times.
    ///
    /// # Errors
    ///
    /// GitHub's message about a token that it rejects.
    pub(super) fn verify(&self, public_key: &[u8], now: Timestamp) -> Result<(), &'static str> {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public_key)
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_| UNREADABLE)?;
        let now = now.as_second();
        if self.issued_at > now {
            return Err(
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was \
                        issued",
            );
        }
        if self.expires_at <= now {
            return Err(
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at \
                        which the assertion expires",
            );
        }
        if self.expires_at > now + MAX_VALIDITY {
            return Err("'Expiration time' claim ('exp') is too far in the future");
        }
        Ok(())
    }
}
