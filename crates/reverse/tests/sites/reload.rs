//! Another plan for a listener that is open.

use super::{LISTENER, Served, Tools, get, route, site, to, url};
use shoalway_reverse::routes::{FixedAnswer, Then};
use shoalway_reverse::site_plan::{SitePlan, SiteSettings};
use shoalway_testkit::{Origin, Reply};
use std::sync::Arc;

fn replace(served: &Served, settings: impl FnOnce(&Tools) -> SiteSettings + Send + 'static) {
    served.on_shard(move |shard, tools| {
        let plan = Arc::new(SitePlan::new(settings(tools)).unwrap());
        shard.set_inbound(LISTENER, plan.on(shard));
    });
}

fn says(text: &'static str) -> impl FnOnce(&Tools) -> SiteSettings + Send + 'static {
    move |_tools| site(vec![route("*", Then::Answer(Arc::new(FixedAnswer::new(200, "text/plain", text))))])
}

#[test]
fn an_open_connection_finds_the_new_plan_at_its_next_request() {
    let served = Served::start(says("old"));
    let mut client = served.connect();
    assert_eq!(client.send(get("/")).read_response().text(), "old");
    replace(&served, says("new"));
    assert_eq!(client.send(get("/")).read_response().text(), "new");
}

#[test]
fn a_websocket_and_a_kept_endpoint_survive_a_new_plan() {
    let origin = Origin::answering(|seen| {
        if seen.header("Upgrade").is_some() { Reply::upgrade() } else { Reply::ok("plain") }
    });
    let endpoint = url(origin.addr());
    let settings = move |tools: &Tools| site(vec![to("*", &tools.backend(std::slice::from_ref(&endpoint)))]);
    let served = Served::start(settings.clone());
    let mut websocket = served.connect();
    websocket.send(
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(websocket.read_response().status, 101);
    let mut client = served.connect();
    assert_eq!(client.send(get("/")).read_response().text(), "plain");
    for _ in 0..20 {
        replace(&served, settings.clone());
        assert_eq!(client.send(get("/")).read_response().text(), "plain");
        websocket.send("frame").expect("frame");
    }
    // One for the WebSocket, one for all requests: nothing was opened anew.
    assert_eq!(origin.connections(), 2);
}
