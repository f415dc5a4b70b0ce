//! Requests to Xata per delivery, however many databases there are.

use standin::clerk::{SignUp, user_id};

use crate::world::{Api, World, delivery};

#[tokio::test(start_paused = true)]
async fn a_delivery_costs_the_same_among_ten_and_among_a_hundred_thousand_databases() {
    for (api, known_user) in [(Api::Platform, 1), (Api::Lite, 2)] {
        for databases in [10, 100_000] {
            let world = World::on(api, &[]);
            world.xata.insert("prj_a", "us-east-1", (1..=databases).map(user_id));
            let (known, new) = (SignUp::new(&user_id(1)), SignUp::new(&user_id(0)));
            let mut forged = delivery(new.user_created());
            forged.headers_mut().remove("x-hookdeck-signature");
            let mut counts = Vec::new();
            for (what, request) in [
                ("new user", delivery(new.user_created())),
                ("known user", delivery(known.user_created())),
                ("ignored", delivery(new.session_created(1))),
                ("deleted", delivery(new.user_deleted(1))),
                ("refused", forged),
            ] {
                world.xata.clear_requests();
                world.send(request).await;
                counts.push((what, world.requests().len()));
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
