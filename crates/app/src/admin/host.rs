//! Lets in only requests whose `Host` names this machine: against DNS rebinding.
//!
//! A web page can make a browser ask any address, but not with a `Host` of its choosing: the browser sends the page's
//! own name there. Ports are not compared, so that a forwarded port works. Not here: the Unix socket, which browsers
//! cannot reach.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;

/// The middleware; `own` is the address that is listened on.
pub(super) async fn only_this_machine(State(own): State<IpAddr>, request: Request, next: Next) -> Response {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let named = match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) => is_own(host, own),
        _ => false,
    };
    let target = request.uri().authority().is_none_or(|authority| is_own(authority.as_str(), own));
    if named && target {
        return next.run(request).await;
    }
    (StatusCode::MISDIRECTED_REQUEST, "ask by the address of this machine, or as localhost\n").into_response()
}

fn is_own(host: &str, own: IpAddr) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    if name.eq_ignore_ascii_case("localhost") {
        return true;
    }
    let bare = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let ip: Option<IpAddr> = match bare {
        Some(inner) => inner.parse().ok().filter(IpAddr::is_ipv6),
        None => name.parse().ok().filter(IpAddr::is_ipv4),
    };
    ip.is_some_and(|ip| {
        ip == own || ip == IpAddr::from([127, 0, 0, 1]) || ip == IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_let_in() {
        let own = "127.0.0.5".parse().unwrap();
        for (host, wanted) in [
            ("127.0.0.1:3131", true),
            ("127.0.0.1", true),
            ("127.0.0.5:3131", true),
            ("localhost:8080", true),
            ("LocalHost", true),
            ("[::1]:3131", true),
            ("[::1]", true),
            ("rebound.example:3131", false),
            ("rebound.example", false),
            ("localhost.rebound.example", false),
            ("127.0.0.1.rebound.example", false),
            ("127.0.0.6:3131", false),
            ("::1", false),
            ("[127.0.0.1]", false),
            ("", false),
            (":3131", false),
            ("127.0.0.1:", false),
        ] {
            assert_eq!(is_own(host, own), wanted, "{host}");
        }
    }
}
