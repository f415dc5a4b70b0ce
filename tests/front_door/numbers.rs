//! Requests to Xata per delivery, however many databases there are.

use standin::clerk::{SignUp, user_id};
use standin::xata::platform::NewDatabase;

use crate::world::World;

#[tokio::test(start_paused = true)]
async fn a_delivery_costs_at_most_one_request_among_ten_and_among_a_hundred_thousand_databases() {
    for databases in [10, 100_000] {
        let world = World::new();
        let others = (1..=databases).map(|seed| NewDatabase::root(&user_id(seed), "us-east-1"));
        world.xata.insert("prj_a", others);
        let (known, new) = (SignUp::new(&user_id(1)), SignUp::new(&user_id(0)));
        let mut forged = crate::world::delivery(new.user_created());
        forged.headers_mut().remove("x-hookdeck-signature");
        let mut counts = Vec::new();
        for (what, request) in [
            ("new user", crate::world::delivery(new.user_created())),
            ("known user", crate::world::delivery(known.user_created())),
            ("ignored", crate::world::delivery(new.session_created(1))),
            ("deleted", crate::world::delivery(new.user_deleted(1))),
            ("refused", forged),
        ] {
            world.xata.clear_requests();
            world.send(request).await;
            counts.push((what, world.requests().len()));
        }
        println!("requests to Xata with {databases} databases: {counts:?}");
        let expected =
            [("new user", 1), ("known user", 1), ("ignored", 0), ("deleted", 0), ("refused", 0)];
        assert_eq!(counts, expected);
    }
}
