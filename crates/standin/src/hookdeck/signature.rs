//! The signature of a delivery (docs/vendors/hookdeck.md, "Signature").

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The value of `x-hookdeck-signature`: base64 of HMAC-SHA256 over the raw body,
/// keyed with the secret's text as it stands.
///
/// # Panics
///
/// Never: HMAC takes keys of every length.
pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of every length");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}
