//! Ids and secrets that look random and are the same in every run.

use sha2::{Digest, Sha256};

pub(crate) const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(crate) const BASE32: &[u8] = b"0123456789abcdefghijklmnopqrstuv";

/// `length` characters of `alphabet`, decided by `seed` alone.
pub(crate) fn text(alphabet: &[u8], length: usize, seed: &str) -> String {
    let blocks = (0_u8..)
        .flat_map(|block| Sha256::new().chain_update([block]).chain_update(seed).finalize());
    blocks
        .take(length)
        .map(|byte| char::from(alphabet[usize::from(byte) % alphabet.len()]))
        .collect()
}
