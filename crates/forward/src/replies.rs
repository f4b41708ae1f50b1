//! One table: what a failed connection is called in each protocol.
//!
//! SOCKS5 codes are those of RFC 1928 section 6, SOCKS4 knows only yes and no, HTTP statuses are those that RFC 9209
//! section 2.3 recommends for the error type, with one deviation: what rules or the egress guard forbid is 403, since
//! the proxy refuses it and no gateway failed. Not here: HTTP failures after connecting (`http/service`).

use shoalway_net::connect::{ConnectError, ConnectErrorKind};
use shoalway_wire::{socks4, socks5};

/// One failure in three protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub http: u16,
    /// SOCKS5 reply.
    pub socks5: socks5::Reply,
    /// SOCKS4 reply.
    pub socks4: socks4::Reply,
}

/// What this failure is called.
#[must_use]
pub fn of(error: &ConnectError) -> Reply {
    match (error.kind, error.word) {
        (_, "proxy_loop_detected") => row(502, socks5::Reply::NotAllowed),
        // What an exit of the overlay says where the kind alone says less (ovl1 section 7.3).
        (ConnectErrorKind::Dns, "dns_timeout") => row(504, socks5::Reply::HostUnreachable),
        (ConnectErrorKind::Proxy, "proxy_internal_response") => row(501, socks5::Reply::CommandNotSupported),
        (kind, _) => of_kind(kind),
    }
}

/// What a failure of this kind is called.
#[must_use]
pub const fn of_kind(kind: ConnectErrorKind) -> Reply {
    match kind {
        ConnectErrorKind::Dns | ConnectErrorKind::NameNotFound => row(502, socks5::Reply::HostUnreachable),
        ConnectErrorKind::Timeout => row(504, socks5::Reply::TtlExpired),
        ConnectErrorKind::Refused => row(502, socks5::Reply::ConnectionRefused),
        ConnectErrorKind::Unreachable => row(502, socks5::Reply::NetworkUnreachable),
        ConnectErrorKind::Forbidden => row(403, socks5::Reply::NotAllowed),
        ConnectErrorKind::Reset
        | ConnectErrorKind::Tls
        | ConnectErrorKind::ProxyAuth
        | ConnectErrorKind::Proxy => row(502, socks5::Reply::GeneralFailure),
        ConnectErrorKind::Local => row(503, socks5::Reply::GeneralFailure),
    }
}

const fn row(http: u16, socks5: socks5::Reply) -> Reply {
    Reply { http, socks5, socks4: socks4::Reply::Rejected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_code_in_each_protocol() {
        use ConnectErrorKind as Kind;
        for (kind, http, socks5) in [
            (Kind::Dns, 502, 4),
            (Kind::NameNotFound, 502, 4),
            (Kind::Timeout, 504, 6),
            (Kind::Refused, 502, 5),
            (Kind::Unreachable, 502, 3),
            (Kind::Reset, 502, 1),
            (Kind::Forbidden, 403, 2),
            (Kind::Tls, 502, 1),
            (Kind::ProxyAuth, 502, 1),
            (Kind::Proxy, 502, 1),
            (Kind::Local, 503, 1),
        ] {
            let reply = of_kind(kind);
            assert_eq!(
                (reply.http, reply.socks5.code(), reply.socks4.code()),
                (http, socks5, 91),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn what_an_exit_says_has_the_codes_of_the_overlays_protocol() {
        use ConnectErrorKind as Kind;
        for (kind, word, http, socks5) in [
            (Kind::NameNotFound, "dns_error", 502, 4),
            (Kind::Dns, "dns_timeout", 504, 4),
            (Kind::Refused, "connection_refused", 502, 5),
            (Kind::Unreachable, "destination_ip_unroutable", 502, 3),
            (Kind::Timeout, "connection_timeout", 504, 6),
            (Kind::Forbidden, "destination_ip_prohibited", 403, 2),
            (Kind::Local, "connection_limit_reached", 503, 1),
            (Kind::Proxy, "proxy_internal_response", 501, 7),
            (Kind::Reset, "connection_terminated", 502, 1),
        ] {
            let reply = of(&ConnectError::new(kind, word, ""));
            assert_eq!((reply.http, reply.socks5.code(), reply.socks4.code()), (http, socks5, 91), "{word}");
        }
    }

    #[test]
    fn a_loop_is_a_failed_gateway_and_not_a_forbidden_place() {
        let error = ConnectError::new(ConnectErrorKind::Forbidden, "proxy_loop_detected", "");
        assert_eq!((of(&error).http, of(&error).socks5.code()), (502, 2));
    }
}
