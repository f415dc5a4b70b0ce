//! The webhook events Clerk sends (docs/vendors/clerk.md, "Envelope" to "Sample events"), as compact JSON with sorted keys.

use serde_json::{Value, json};
use svix_ksuid::{Ksuid, KsuidLike};

use crate::id;

/// The first characters of a KSUID of January 2026.
const KSUID_OF_2026: &str = "37v";
/// The default instance.
pub(super) const INSTANCE_ID: &str = "ins_2r1MCXTfhzB11e2rVlwx3jYfyDo";
/// How long before the event the user was stored, in milliseconds.
pub(super) const USER_LAG_MS: u64 = 18;
const CODE_LIFETIME_MS: u64 = 600_000;
const ABANDON_AFTER_MS: u64 = 30 * 24 * 3_600_000;
const EXPIRE_AFTER_MS: u64 = 7 * 24 * 3_600_000;

/// A well-formed user id that depends on the seed alone.
pub fn user_id(seed: u64) -> String {
    ksuid("user", &seed.to_string())
}

/// A well-formed user id that Clerk makes in this second since the Unix epoch.
pub fn user_id_at(seed: u64, second: u64) -> String {
    let payload = id::text(id::BASE62, 16, &format!("user {seed}"));
    let second = i64::try_from(second).ok();
    format!("user_{}", Ksuid::from_seconds(second, Some(payload.as_bytes())))
}

fn ksuid(prefix: &str, seed: &str) -> String {
    let tail = id::text(id::BASE62, 24, &format!("{prefix} {seed}"));
    format!("{prefix}_{KSUID_OF_2026}{tail}")
}

/// The `data` of `user.deleted`.
pub(super) fn deleted(user_id: &str) -> Value {
    json!({ "deleted": true, "id": user_id, "object": "user" })
}

/// An event. `request` is the address and the program of the client that caused it.
pub(super) fn envelope(
    kind: &str,
    timestamp_ms: u64,
    data: &Value,
    request: Option<(&str, &str)>,
    instance_id: Option<&str>,
) -> Vec<u8> {
    let attributes = request.map(|(client_ip, user_agent)| {
        let request = json!({ "client_ip": client_ip, "user_agent": user_agent });
        ("event_attributes", json!({ "http_request": request }))
    });
    let members = [
        Some(("data", data.clone())),
        attributes,
        instance_id.map(|id| ("instance_id", json!(id))),
        Some(("object", json!("event"))),
        Some(("timestamp", json!(timestamp_ms))),
        Some(("type", json!(kind))),
    ];
    let envelope: serde_json::Map<String, Value> =
        members.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
    Value::from(envelope).to_string().into_bytes()
}

/// A sign-up: all that Clerk's events say about a user.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// The user id.
    pub user_id: String,
    /// The client's address; `None` leaves `event_attributes` out, an empty text is a server's.
    pub client_ip: Option<String>,
    /// The client's program; only sent along with an address.
    pub user_agent: String,
    /// `private_metadata`; null is allowed.
    pub private_metadata: Value,
    /// `public_metadata`.
    pub public_metadata: Value,
    /// `unsafe_metadata`.
    pub unsafe_metadata: Value,
    /// The Clerk instance; `None` leaves it out, as old samples do.
    pub instance_id: Option<String>,
    /// When it happened, in milliseconds since the Unix epoch.
    pub timestamp_ms: u64,
    /// The first name.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The address before `@example.com`; `None` for a sign-up without e-mail.
    pub email_local_part: Option<String>,
}

impl SignUp {
    /// An ordinary browser sign-up in Germany.
    pub fn new(user_id: &str) -> Self {
        Self {
            user_id: user_id.into(),
            client_ip: Some("84.200.69.80".into()),
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"
                .into(),
            private_metadata: json!({}),
            public_metadata: json!({}),
            unsafe_metadata: json!({}),
            instance_id: Some(INSTANCE_ID.into()),
            timestamp_ms: 1_767_784_000_231,
            first_name: "Mara".into(),
            last_name: "Lindqvist".into(),
            email_local_part: Some("mara.lindqvist".into()),
        }
    }

    /// The event `user.created`, with the full user object.
    pub fn user_created(&self) -> Vec<u8> {
        self.envelope("user.created", self.timestamp_ms, &self.user())
    }

    /// The event `user.deleted` at a time in milliseconds since the Unix epoch.
    pub fn user_deleted(&self, timestamp_ms: u64) -> Vec<u8> {
        self.envelope("user.deleted", timestamp_ms, &deleted(&self.user_id))
    }

    /// The event `session.created` at a time in milliseconds since the Unix epoch.
    pub fn session_created(&self, timestamp_ms: u64) -> Vec<u8> {
        let seed = format!("{} {timestamp_ms}", self.user_id);
        let data = json!({
            "abandon_at": timestamp_ms + ABANDON_AFTER_MS,
            "actor": null,
            "client_id": ksuid("client", &seed),
            "created_at": timestamp_ms,
            "expire_at": timestamp_ms + EXPIRE_AFTER_MS,
            "id": ksuid("sess", &seed),
            "last_active_at": timestamp_ms,
            "last_active_organization_id": null,
            "object": "session",
            "status": "active",
            "updated_at": timestamp_ms,
            "user": null,
            "user_id": self.user_id,
        });
        self.envelope("session.created", timestamp_ms, &data)
    }

    fn envelope(&self, kind: &str, timestamp_ms: u64, data: &Value) -> Vec<u8> {
        let request = self.client_ip.as_deref().map(|client_ip| (client_ip, &*self.user_agent));
        envelope(kind, timestamp_ms, data, request, self.instance_id.as_deref())
    }

    /// When the user was created, in milliseconds since the Unix epoch.
    pub(super) fn created_at(&self) -> u64 {
        self.stored_at().saturating_sub(USER_LAG_MS)
    }

    /// When the user was stored for good, in milliseconds since the Unix epoch.
    pub(super) fn stored_at(&self) -> u64 {
        self.timestamp_ms.saturating_sub(USER_LAG_MS)
    }

    /// The user object that has not changed since the sign-up.
    pub(super) fn user(&self) -> Value {
        let (created_at, updated_at) = (self.created_at(), self.stored_at());
        let email_id = ksuid("idn", &self.user_id);
        let image_url = format!("https://img.clerk.com/placeholder-{}", self.user_id);
        let email_addresses: Vec<Value> = self
            .email_local_part
            .iter()
            .map(|local_part| {
                json!({
                    "created_at": created_at,
                    "email_address": format!("{local_part}@example.com"),
                    "id": email_id,
                    "linked_to": [],
                    "matches_sso_connection": false,
                    "object": "email_address",
                    "reserved": false,
                    "updated_at": updated_at,
                    "verification": {
                        "attempts": 1,
                        "expire_at": created_at + CODE_LIFETIME_MS,
                        "object": "verification_otp",
                        "status": "verified",
                        "strategy": "email_code",
                    },
                })
            })
            .collect();
        let primary_email = self.email_local_part.as_ref().map(|_| email_id.clone());
        json!({
            "backup_code_enabled": false,
            "banned": false,
            "create_organization_enabled": true,
            "created_at": created_at,
            "delete_self_enabled": true,
            "email_addresses": email_addresses,
            "enterprise_accounts": [],
            "external_accounts": [],
            "external_id": null,
            "first_name": self.first_name,
            "has_image": false,
            "id": self.user_id,
            "image_url": image_url,
            "last_active_at": created_at,
            "last_name": self.last_name,
            "last_sign_in_at": null,
            "legal_accepted_at": null,
            "locale": null,
            "locked": false,
            "lockout_expires_in_seconds": null,
            "mfa_disabled_at": null,
            "mfa_enabled_at": null,
            "object": "user",
            "passkeys": [],
            "password_enabled": true,
            "phone_numbers": [],
            "primary_email_address_id": primary_email,
            "primary_phone_number_id": null,
            "primary_web3_wallet_id": null,
            "private_metadata": self.private_metadata,
            "profile_image_url": image_url,
            "public_metadata": self.public_metadata,
            "saml_accounts": [],
            "totp_enabled": false,
            "two_factor_enabled": false,
            "unsafe_metadata": self.unsafe_metadata,
            "updated_at": updated_at,
            "username": null,
            "verification_attempts_remaining": 100,
            "web3_wallets": [],
        })
    }
}
