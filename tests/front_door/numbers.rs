//! The number of requests to Xata per delivery.

use standin::clerk::{SignUp, user_id};

use crate::test_app::{Api, TestApp, delivery, without_header};

#[tokio::test(start_paused = true)]
async fn a_delivery_costs_the_same_with_ten_and_with_a_hundred_thousand_databases() {
    for (api, known_user) in [(Api::Platform, 1), (Api::Lite, 2)] {
        for databases in [10, 100_000] {
            let app = TestApp::with_api(api, &[]);
            app.xata.insert("prj_a", "us-east-1", (1..=databases).map(user_id));
            let (known, new) = (SignUp::new(&user_id(1)), SignUp::new(&user_id(0)));
            let unsigned = without_header(delivery(new.user_created()), "x-hookdeck-signature");
            let mut counts = Vec::new();
            for (name, request) in [
                ("new user", delivery(new.user_created())),
                ("known user", delivery(known.user_created())),
                ("ignored", delivery(new.session_created(1))),
                ("deleted", delivery(new.user_deleted(1))),
                ("refused", unsigned),
            ] {
                app.xata.clear_requests();
                app.send(request).await;
                counts.push((name, app.requests().len()));
            }
            println!("{api:?}: requests to Xata with {databases} databases: {counts:?}");
            let expected = [
                ("new user", 1),
                ("known user", known_user),
                ("ignored", 0),
                ("deleted", 0),
                ("refused", 0),
            ];
            assert_eq!(counts, expected);
        }
    }
}
