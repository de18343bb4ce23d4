//! Digests from which stable ids and idempotency keys are derived.
//!
//! The same wish must always produce the same key, so that a retry after a crash is recognised by
//! the provider; therefore keys are computed from what is wanted, never drawn at random.

use sha2::{Digest, Sha256};

/// SHA-256 over the parts, each preceded by its length, so that no two lists of parts collide.
#[must_use]
pub fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// SHA-256 of raw bytes.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of raw bytes, as lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(sha256(bytes))
}

/// The digest of `parts` as 32 hexadecimal digits: short enough for a key, long enough to be unique.
#[must_use]
pub fn short_hex(parts: &[&str]) -> String {
    let mut text = hex::encode(digest(parts));
    text.truncate(32);
    text
}

/// The first eight bytes of the digest of `parts`: to tell very many names apart in little memory.
#[must_use]
pub fn short_bytes(parts: &[&str]) -> [u8; 8] {
    let mut first = [0; 8];
    for (to, from) in first.iter_mut().zip(digest(parts)) {
        *to = from;
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest(&["ab", "c"]), digest(&["a", "bc"]));
        assert_eq!(short_hex(&["a"]), short_hex(&["a"]));
        assert_eq!(short_hex(&["a"]).len(), 32);
    }
}
