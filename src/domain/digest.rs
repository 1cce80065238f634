//! Digests: they distinguish texts without revealing them.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Identifies a text, for example a secret, without revealing it: the first 64 bits of its SHA-256 as 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of a secret.
    pub fn of(secret: &str) -> Self {
        Self::of_digest(&sha256(secret))
    }

    /// The fingerprint of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self::of_digest(&sha256(bytes))
    }

    /// The 16 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn of_digest(digest: &[u8; 32]) -> Self {
        Self(hex(&digest[..8]))
    }
}

/// The SHA-256 of a text or of bytes.
pub(super) fn sha256(text: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
