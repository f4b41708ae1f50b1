//! Answers to requests that were meant for the proxy itself, or that no proxy can serve.
//!
//! Nothing that was sent is shown but the client's own address and name, to that client. Not here: refusals by rules
//! (`http/answer`).

use crate::forward::Forward;
use shoalway_http::answer::{Answer, escaped};
use shoalway_wire::http1::method::Method;
use std::net::SocketAddr;

/// A browser came here as if this were a site; or a program asks what we can do.
pub(super) fn this_is_a_proxy(method: Method) -> Answer {
    if method == Method::Options {
        return Answer::empty(204).field("Allow", "CONNECT, OPTIONS");
    }
    let body = "<p>It works. Set it as the proxy of your browser or program, then open any page.</p>\
                <p>With it set, <code>http://shoalway.internal/</code> shows who you are to it.</p>";
    Answer::page(400, "This is a proxy, not a site", body)
}

/// A plain request for an `https` page: the proxy would have to see through the client's TLS.
pub(super) fn use_connect() -> Answer {
    let sentence =
        "Pages with https or wss are reached through CONNECT, so that nobody but the site can read them.";
    Answer::error(501, "http_request_error", "scheme", sentence)
}

/// Who the client is to this proxy.
pub(super) fn status(forward: &Forward, peer: SocketAddr, user: Option<&str>) -> Answer {
    let plan = forward.plan();
    let body = format!(
        "<p>You are using this proxy.</p><pre>your address  {}\nlogged in as  {}\nlistener      {}\n\
         level         {}\nrules         {}\nexits         {}</pre>",
        peer.ip(),
        escaped(user.unwrap_or("nobody")),
        escaped(&plan.listener),
        plan.level.word(),
        plan.rules.len(),
        plan.exits.len(),
    );
    Answer::page(200, "Shoalway", &body)
}
