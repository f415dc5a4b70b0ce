//! `cargo dev scale`.

use serde_json::Value;

use crate::{dev, run};

/// The document of a command that succeeds.
fn json(arguments: &[&str]) -> Value {
    let (code, document, errors) = run(&mut dev(&[&["scale"], arguments, &["--json"]].concat()));
    assert_eq!((code, errors.as_str()), (0, ""), "{arguments:?}: {document}");
    serde_json::from_str(&document).unwrap()
}

fn simulated(options: &str) -> Value {
    json(&[&["simulate"], &options.split(' ').collect::<Vec<_>>()[..]].concat())
}

/// A count at the end of a run.
fn end(run: &Value, count: &str) -> u64 {
    run["samples"].as_array().unwrap().last().unwrap()[count].as_u64().unwrap()
}

fn assert_all_done(run: &Value) {
    let n = run["load"]["sign_ups"].as_u64().unwrap();
    assert_eq!((end(run, "acknowledged"), end(run, "given_up")), (n, 0), "{}", run["responses"]);
    assert_eq!(run["violations"], Value::Array(Vec::new()));
}

/// Limits that are none, for runs about a single one.
const FREE: &str = "--throughput 100 --creations-per-hour 100000 --branches-per-project 100000 \
                    --branches-per-organization 100000 --create-latency-ms 100";

#[test]
fn an_hourly_quota_of_100_lets_300_sign_ups_through_in_three_hours() {
    let run = simulated("--sign-ups 300 --within 1m --creations-per-hour 100 --delivery 100/hour");
    assert_all_done(&run);
    let three_hours = 3 * 3600;
    assert!((three_hours - 120..three_hours + 120).contains(&end(&run, "seconds")));
    for sample in run["samples"].as_array().unwrap() {
        let full_hours = sample["seconds"].as_u64().unwrap() / 3600;
        assert!(sample["acknowledged"].as_u64().unwrap() <= (full_hours + 1) * 100, "{sample}");
    }
}

#[test]
fn without_pace_hookdeck_s_retries_carry_eight_hourly_quotas_of_a_spike_and_then_end() {
    let run = simulated("--sign-ups 40 --within 10s --creations-per-hour 4");
    assert_eq!((end(&run, "acknowledged"), end(&run, "given_up")), (32, 8));
    assert_eq!(run["plan"]["by_retries"], 32.0);
    assert_eq!(run["plan"]["refused_by"], "Xata: creations an hour");
    // With pace, all of them have a database long before the retries would have ended.
    let run = simulated("--sign-ups 40 --within 10s --creations-per-hour 4 --delivery 3/hour");
    assert_all_done(&run);
    assert!(end(&run, "seconds") < 14 * 3600);
}

#[test]
fn clerk_s_limit_delays_acknowledgements_and_loses_nothing() {
    let load = "--sign-ups 30 --within 1s --delivery 2/concurrent";
    let run = simulated(&format!("{load} {FREE} --clerk-requests 10"));
    assert_all_done(&run);
    assert!(run["responses"]["503 unavailable clerk_unavailable"].as_u64() > Some(0));
    let unlimited = simulated(&format!("{load} {FREE}"));
    assert!(end(&run, "seconds") > 2 * end(&unlimited, "seconds"));
}

#[test]
fn a_spike_beyond_clerk_s_limit_is_lost_without_pace_and_done_with_it() {
    let load = format!("--sign-ups 100 --within 5s {FREE} --clerk-requests 10 --delivery");
    let run = simulated(&format!("{load} 20/concurrent"));
    assert!(end(&run, "given_up") > 50, "{}", run["responses"]);
    assert_eq!(run["plan"]["refused_by"], "Clerk: requests in 10 s");
    let run = simulated(&format!("{load} 30/minute"));
    assert_all_done(&run);
    assert!(run["plan"]["refused_by"].is_null());
}

#[test]
fn a_throttled_lambda_is_retried_by_hookdeck() {
    let load = "--sign-ups 50 --within 1s --delivery 10/concurrent";
    let run = simulated(&format!("{load} {FREE} --lambda-concurrency 2"));
    assert_all_done(&run);
    let throttled = end(&run, "throttled");
    assert!(throttled > 0 && end(&run, "deliveries") >= 50 + throttled);
}

#[test]
fn a_full_organization_serves_whom_it_has_room_for() {
    // Ten beside the three templates.
    let run = simulated("--sign-ups 12 --within 10s --branches-per-organization 13");
    assert_eq!((end(&run, "acknowledged"), end(&run, "given_up")), (10, 2));
    assert!(run["responses"]["500 misconfigured standing_quota"].as_u64() > Some(0));
}

#[test]
fn the_simulation_takes_the_time_that_the_arithmetic_says() {
    for limit in [
        "--throughput 1 --delivery 10/concurrent",
        "--delivery 2/concurrent",
        "--delivery 30/minute",
        "--delivery 900/hour --projects 2",
        "--delivery 20/concurrent --projects 1 --create-latency-ms 2000",
    ] {
        let free = FREE.split(' ').collect::<Vec<_>>();
        // A limit that is given counts, instead of the free one.
        let free = free.chunks(2).filter(|it| !limit.contains(it[0])).flatten().copied();
        let options = ["--sign-ups", "400", "--within", "30s"].into_iter();
        let options: Vec<_> = options.chain(free).chain(limit.split(' ')).collect();
        let run = simulated(&options.join(" "));
        assert_all_done(&run);
        let expected = run["plan"]["seconds"].as_f64().unwrap();
        #[expect(clippy::cast_precision_loss, reason = "it is small")]
        let seconds = end(&run, "seconds") as f64;
        assert!((seconds / expected - 1.0).abs() < 0.05, "{limit}: {seconds}, not {expected}");
    }
}

#[test]
fn a_run_prints_and_draws_the_same_bytes_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("backlog.svg");
    let options = "--sign-ups 100 --within 1m --creations-per-hour 60 --plot";
    let arguments: Vec<_> = ["scale", "simulate"].into_iter().chain(options.split(' ')).collect();
    let draw = || {
        let run = run(dev(&arguments).arg(&file));
        (run, std::fs::read_to_string(&file).unwrap())
    };
    let first = draw();
    assert_eq!(first.0.0, 0, "{:?}", first.0);
    assert!(first.1.starts_with("<svg") && first.1.contains("waiting"), "{}", first.1);
    assert_eq!(first, draw());
}

#[test]
fn a_plan_of_four_loads_says_which_limit_each_exceeds_most() {
    let plans = json(&["plan"]);
    let sign_ups: Vec<_> =
        plans.as_array().unwrap().iter().map(|it| &it["load"]["sign_ups"]).collect();
    assert_eq!(sign_ups, [36_000, 3_600_000, 36_000_000, 100_000]);
    assert!(
        plans.as_array().unwrap().iter().all(|it| it["organizations_needed"].as_f64() > Some(1.0))
    );
    let (code, table, _) = run(&mut dev(&["scale", "plan", "--sign-ups", "10", "--within", "1h"]));
    assert_eq!(code, 0);
    assert!(table.contains("10 in 1h") && table.contains("nothing"), "{table}");
}

#[test]
fn the_cost_of_a_million_sign_ups_is_the_sum_of_what_is_known() {
    let cost = json(&["cost"]);
    let items = cost["items"].as_array().unwrap();
    let sum: f64 = items.iter().filter_map(|it| it["dollars"].as_f64()).sum();
    assert!((cost["dollars"].as_f64().unwrap() - sum).abs() < 1e-6, "{cost}");
    assert!(items.iter().any(|it| it["dollars"].is_null()), "{cost}");
    let with_prices = json(&["cost", "--hookdeck-event-price", "3", "--storage-gb", "0.01"]);
    let more = with_prices["dollars"].as_f64().unwrap() - sum;
    assert!((more - (3.0 + 2800.0)).abs() < 1e-6, "{with_prices}");
    let (code, table, _) = run(&mut dev(&["scale", "cost"]));
    assert!(code == 0 && table.contains("see the price list"), "{table}");
}

#[test]
fn an_amount_that_is_no_number_or_below_0_is_refused() {
    for amount in ["nan", "inf", "-1", "1e400", "many", ""] {
        let option = format!("--cpu-ms={amount}");
        let (code, table, errors) = run(&mut dev(&["scale", "cost", &option]));
        assert_eq!((code, table.as_str()), (2, ""), "{amount}");
        assert!(errors.contains("--cpu-ms") && errors.contains("0 to 1,000,000,000"), "{errors}");
    }
}
