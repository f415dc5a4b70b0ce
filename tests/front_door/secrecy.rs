//! Secrets and personal data stay out of responses and of the log, at every level.

use std::time::Duration;

use standin::clerk::backend::Call as ClerkCall;
use standin::clerk::{SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::xata::{Call, Xata};

use crate::geography::IpApi;
use crate::log::outgoing_requests;
use crate::test_app::{Api, CLERK, delivery, refusal, retry, with_header};

/// Part of each secret, and of each text that must not be shown.
const PLANTED: &str = "planted";
/// "planted-key" in base64.
const SVIX_SECRET: &str = "whsec_cGxhbnRlZC1rZXk=";
const CLIENT_IP: &str = "84.200.69.81";
const FORBIDDEN: [&str; 4] = [PLANTED, "cGxhbnRlZC1rZXk", CLIENT_IP, "fake-signing-secret"];

const SETTINGS: [(&str, &str); 7] = [
    ("HOOKDECK_WEBHOOK_SECRET", "fake-signing-secret,planted-signing-secret"),
    ("XATA_API_KEY", "xau_planted"),
    CLERK[1],
    ("CLERK_SECRET_KEY", "sk_test_planted"),
    ("SVIX_CHECK", "report"),
    ("CLERK_WEBHOOK_SIGNING_SECRET", SVIX_SECRET),
    ("IP_API_KEY", "plantedkey"),
];

fn sign_up() -> SignUp {
    SignUp {
        client_ip: Some(CLIENT_IP.into()),
        user_agent: "planted-agent".into(),
        first_name: "planted-first".into(),
        last_name: "planted-last".into(),
        email_local_part: Some("planted-mail".into()),
        unsafe_metadata: serde_json::json!({ "db_region": "planted-region" }),
        ..SignUp::new(&user_id(1))
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_and_no_personal_data_is_in_a_response_or_in_the_log() {
    let upstream = |status| refusal(status, "planted-upstream-text");
    let effects = [
        None,
        Some(upstream(403)),
        Some(upstream(500)),
        Some(upstream(201)),
        Some(Effect::ResetBefore),
    ];
    for (api, effect) in Api::each_with(&effects) {
        let ip_api = IpApi::new(|| IpApi::country("NZ"));
        let app = ip_api.app(api, &SETTINGS);
        match &app.xata {
            Xata::Platform(platform) => platform.change(|it| it.api_key = "xau_planted".into()),
            Xata::Lite(lite) => lite.change(|it| it.api_key = "xau_planted".into()),
        }
        app.clerk.change(|it| it.secret_key = "sk_test_planted".into());
        app.clerk.insert(sign_up());
        let is_healthy = effect.is_none();
        if let Some(effect) = effect {
            app.xata.fault(Fault::always(Call::Any, effect.clone()));
            app.clerk.faults().push(Fault::always(ClerkCall::GetUser, effect));
        }
        let body = sign_up().user_created();
        let forged = with_header(delivery(body.clone()), "x-hookdeck-signature", "planted");
        let forged = with_header(forged, "x-hookdeck-eventid", "planted\"}");
        // The retry reads the user at Clerk.
        for (request, is_genuine) in
            [(delivery(body.clone()), true), (retry(body, 2), true), (forged, false)]
        {
            let response = app.send(request).await;
            let output = response.output();
            for text in FORBIDDEN {
                assert!(!output.contains(text), "{text} in {output}");
            }
            let lines = outgoing_requests(&response.log);
            assert_eq!(!lines.is_empty(), is_genuine, "{output}");
            for line in lines {
                let span = &line["span"];
                assert!(span["host"].is_string() && span["method"].is_string(), "{line}");
                assert!(span["status"].is_u64() || !is_healthy, "{line}");
            }
            if is_genuine && is_healthy {
                let word = &response.log_line["directory"];
                assert!(word == "written" || word == "unchanged", "{output}");
            }
            tokio::time::advance(Duration::from_hours(1)).await;
        }
        assert!(ip_api.requests()[0].contains("plantedkey"), "the key is used");
    }
}
