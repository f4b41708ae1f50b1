//! Second tries beside slow ones: who gets one and who does not.

use super::{Served, site, to, url};
use shoalway_reverse::attempt::HedgeAfter;
use shoalway_reverse::budget::BudgetConfig;
use shoalway_reverse::retry::RetryPolicy;
use shoalway_reverse::routes::Then;
use shoalway_testkit::{Far, Origin, Reply};
use std::sync::Arc;
use std::time::Duration;

/// A site before a silent endpoint and one that answers; nothing is tried again.
fn served(slow: &Far, fast: &Origin, hedges: BudgetConfig, after: HedgeAfter) -> Served {
    // Everything goes to the silent one first.
    let endpoints = [url(slow.addr()), url(fast.addr())];
    Served::start(move |tools| {
        let backend = tools.backend_with(
            &endpoints,
            |upstream| {
                upstream.endpoints[1].priority = 1;
                upstream.hedges = hedges;
                upstream.outlier.consecutive = 0;
            },
            |backend| {
                backend.hedge = Some(after);
                backend.retry = RetryPolicy { tries: 1, ..RetryPolicy::default() };
            },
        );
        let mut route = to("*", &backend);
        if let Then::Upstream(to) = &mut route.then {
            let to = Arc::get_mut(to).unwrap();
            to.per_try = Some(Duration::from_millis(400));
        }
        site(vec![route])
    })
}

fn ask(served: &Served, method: &str) -> u16 {
    let mut client = served.connect();
    client.send(format!("{method} / HTTP/1.1\r\nHost: app.example\r\nContent-Length: 0\r\n\r\n"));
    client.read_response().status
}

const SOON: HedgeAfter = HedgeAfter::Time(Duration::from_millis(20));
/// Every second request brings a token.
const HALF: BudgetConfig = BudgetConfig { percent: 50, per_second: 0, most: 1 };

#[test]
fn a_second_endpoint_is_asked_only_for_what_the_budget_has_and_only_what_may_be_asked_twice() {
    let (slow, fast) = (Far::listen(), Origin::start(Reply::ok("fast")));
    let served = served(&slow, &fast, HALF, SOON);
    let asked = ["GET", "GET", "GET", "POST", "GET"].map(|method| ask(&served, method));
    // Half a token, a whole one that is spent, half, a whole one that a POST may not have, and so it is still there.
    assert_eq!(asked, [504, 200, 504, 504, 200]);
}

#[test]
fn without_a_budget_or_a_percentile_the_first_endpoint_is_waited_for() {
    let usual = BudgetConfig::HEDGES;
    for (budget, after) in [(BudgetConfig::NOTHING, SOON), (usual, HedgeAfter::P95)] {
        let (slow, fast) = (Far::listen(), Origin::start(Reply::ok("fast")));
        let served = served(&slow, &fast, budget, after);
        assert_eq!(ask(&served, "GET"), 504, "{after:?}");
    }
}
