//! Secrets and personal data stay out of logs and answers, at every level and whatever goes wrong.

use http::StatusCode;
use standin::clerk::{SignUp, user_id};
use standin::fault::{CannedResponse, Effect, Fault};
use standin::xata::{Call, Xata};

use crate::world::{Api, World, delivery};

#[tokio::test(start_paused = true)]
async fn nothing_secret_or_personal_is_logged_or_answered() {
    let planted = "planted";
    let sign_up = SignUp {
        client_ip: Some("84.200.69.81".into()),
        user_agent: "planted-agent".into(),
        first_name: "planted-first".into(),
        last_name: "planted-last".into(),
        email_local_part: Some("planted-mail".into()),
        unsafe_metadata: serde_json::json!({ "db_region": "planted-region" }),
        ..SignUp::new(&user_id(1))
    };
    let upstream =
        |status| Effect::Answer(CannedResponse::message(status, "planted-upstream-text"));
    let effects = [
        None,
        Some(upstream(StatusCode::FORBIDDEN)),
        Some(upstream(StatusCode::INTERNAL_SERVER_ERROR)),
        Some(upstream(StatusCode::CREATED)),
        Some(Effect::ResetBefore),
    ];
    for (api, effect) in Api::BOTH.into_iter().flat_map(|api| effects.clone().map(|it| (api, it))) {
        let world = World::on(
            api,
            &[
                ("HOOKDECK_WEBHOOK_SECRET", "fake-signing-secret,planted-signing-secret"),
                ("XATA_API_KEY", "xau_planted"),
            ],
        );
        match &world.xata {
            Xata::Platform(platform) => platform.change(|it| it.api_key = "xau_planted".into()),
            Xata::Lite(lite) => lite.change(|it| it.api_key = "xau_planted".into()),
        }
        if let Some(effect) = effect {
            world.xata.fault(Fault::always(Call::Any, effect));
        }
        let mut forged = delivery(sign_up.user_created());
        forged.headers_mut().insert("x-hookdeck-signature", "planted".parse().unwrap());
        forged.headers_mut().insert("x-hookdeck-eventid", "planted\"}".parse().unwrap());
        for request in [delivery(sign_up.user_created()), forged] {
            let answered = world.send(request).await;
            let said = format!("{}{:?}{:?}", answered.body, answered.headers, answered.log);
            for secret in [planted, "84.200.69.81", "fake-signing-secret"] {
                assert!(!said.contains(secret), "{secret} in {said}");
            }
        }
    }
}
