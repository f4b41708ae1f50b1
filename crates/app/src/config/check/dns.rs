//! The section `[dns]`: servers to ask for names.

use super::Check;
use crate::config::at::At;
use crate::config::catalogue::Code;
use crate::config::file::DnsSection;
use crate::config::report::Problem;
use crate::config::settings::DnsServer;
use shoalway_types::{DomainName, Host, Target};
use std::net::{IpAddr, SocketAddr};

/// Checks every server; an empty list is a mistake.
pub(super) fn servers(section: &DnsSection, check: &mut Check<'_>) -> Vec<DnsServer> {
    let items = section.upstream.items();
    if items.is_empty() && !check.is_lost("upstream") {
        let problem =
            Problem::new(Code::Missing, 0..0, "`upstream` in [dns] is empty: no name could be resolved");
        check.add(problem.fix("write upstream = [\"system\"], or leave the key out"));
    }
    let mut servers = Vec::new();
    for at in items {
        match server(at.get().trim()) {
            Ok(server) => servers.push(server),
            Err(why) => note(at, why, check),
        }
    }
    servers
}

fn note(at: &At<String>, why: &str, check: &mut Check<'_>) {
    let problem = Problem::new(Code::Resolver, at.place(), format!("`{}` is not a DNS server", at.get()));
    check.add(problem.label(why));
}

fn server(text: &str) -> Result<DnsServer, &'static str> {
    if text == "system" {
        return Ok(DnsServer::System);
    }
    match text.split_once("://") {
        None => address(text, 53).map(DnsServer::Udp),
        Some(("udp", rest)) => address(rest, 53).map(DnsServer::Udp),
        Some(("tcp", rest)) => address(rest, 53).map(DnsServer::Tcp),
        Some(("tls", rest)) => {
            let (name, addr) =
                rest.split_once('@').ok_or("write tls://NAME@ADDRESS, with the certificate's name")?;
            let name = DomainName::parse(name).or(Err("the part before @ is no name"))?;
            Ok(DnsServer::Tls { addr: address(addr, 853)?, name: name.as_str().to_owned() })
        }
        Some(("https", rest)) => https(rest),
        Some(_) => Err("known: system, udp://, tcp://, tls://, https://"),
    }
}

fn https(rest: &str) -> Result<DnsServer, &'static str> {
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => return Err("write https://HOST/PATH; the path is /dns-query most often"),
    };
    if path.bytes().any(|b| b <= b' ' || b >= 0x7f) {
        return Err("the path holds a character outside printable ASCII");
    }
    let target = Target::parse(authority, Some(443)).or(Err("the host or port is not valid"))?;
    Ok(DnsServer::Https { host: target.host, port: target.port, path: path.to_owned() })
}

fn address(text: &str, port: u16) -> Result<SocketAddr, &'static str> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let target = Target::parse(text, Some(port)).or(Err("the address or port is not valid"))?;
    match target.host {
        Host::Ip(ip) => Ok(SocketAddr::new(ip, target.port)),
        Host::Name(_) => Err("write an IP address: a name would have to be resolved first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_as_people_write_them() {
        for (text, shown) in [
            ("system", "System"),
            ("192.0.2.1", "Udp(192.0.2.1:53)"),
            ("192.0.2.1:5353", "Udp(192.0.2.1:5353)"),
            ("2001:db8::1", "Udp([2001:db8::1]:53)"),
            ("udp://[2001:db8::1]:5353", "Udp([2001:db8::1]:5353)"),
            ("tcp://192.0.2.1", "Tcp(192.0.2.1:53)"),
            ("tls://dns.example@192.0.2.1", "Tls { addr: 192.0.2.1:853, name: \"dns.example\" }"),
        ] {
            assert_eq!(format!("{:?}", server(text).unwrap()), shown, "{text}");
        }
        let DnsServer::Https { host, port, path } = server("https://dns.example/dns-query").unwrap() else {
            panic!("not https")
        };
        assert_eq!((host.to_string().as_str(), port, path.as_str()), ("dns.example", 443, "/dns-query"));
        for text in [
            "",
            "sytem",
            "dns.example",
            "tls://192.0.2.1",
            "https://dns.example",
            "quic://192.0.2.1",
            "1.2.3",
        ] {
            assert!(server(text).is_err(), "{text}");
        }
    }
}
