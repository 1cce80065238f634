//! Digests: texts told apart without being told.

use sha2::{Digest as _, Sha256};

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Tells a secret apart from others: 64 bits of its SHA-256, which do not lead back to it.
pub(super) fn fingerprint(secret: &str) -> String {
    hex(&Sha256::digest(secret)[..8])
}
