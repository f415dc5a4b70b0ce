//! Hookdeck's signature against the vectors of `tests/vectors/hookdeck-signature.json`.

use base64::{Engine, engine::general_purpose::STANDARD};
use per_user_db::hookdeck::{DEFAULT_HEADER_PREFIX, HeaderNames, Verifier};
use serde_json::Value;

use crate::test_app::header_map;

#[test]
fn every_signature_vector_has_the_result_of_hookdeck_s_sdk() {
    let vectors: Value =
        serde_json::from_str(include_str!("../vectors/hookdeck-signature.json")).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 48);
    for vector in vectors {
        let body = STANDARD.decode(vector["body_base64"].as_str().unwrap()).unwrap();
        let headers = header_map(vector["headers"].as_object().unwrap());
        let secret = vec![vector["secret"].as_str().unwrap().into()];
        let require_source_verified = vector["check_source_verification"].as_bool().unwrap();
        // Without a verifier, which an empty secret does not make, no delivery is accepted.
        let names = HeaderNames::new(DEFAULT_HEADER_PREFIX).unwrap();
        let verified = Verifier::new(secret, names, require_source_verified)
            .is_ok_and(|verifier| verifier.verify(&headers, &body).is_ok());
        assert_eq!(verified, vector["expected"].as_bool().unwrap(), "{}", vector["name"]);
    }
}
