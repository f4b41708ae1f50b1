//! shadowsocks-rust (2022-blake3-aes-256-gcm) and shadowsocks-libev (aes-256-gcm): a local client and a server.

use anyhow::{Context, Result};

use super::super::load::OriginPorts;
use super::super::machine;
use super::super::peer::Peer;
use super::super::site::{Site, Template};
use super::fleet::Member;

/// 32 bytes in base64: the key of the one, the password of the other. It keeps nothing secret here.
const KEY_32: &str = "c2hvYWx3YXktYmVuY2gtMzItYnl0ZXMtbG9uZy1rZXk=";

/// The directory of one of both, and its programs.
///
/// # Errors
/// When a file cannot be written, or a program is missing.
pub(super) fn prepare(peer: Peer, origin: OriginPorts) -> Result<(Site, Vec<Member>)> {
    let site = site(peer, origin)?;
    let config = site.dir.join("config.json").display().to_string();
    let mut members = Vec::new();
    for (name, program) in programs(peer)? {
        members.push(Member { name, command: vec![program, "-c".to_owned(), config.clone()], after: 0 });
    }
    Ok((site, members))
}

fn site(peer: Peer, origin: OriginPorts) -> Result<Site> {
    let template: Template = if peer == Peer::ShadowsocksRust {
        ("overlay-shadowsocks-rust.conf", "config.json")
    } else {
        ("overlay-shadowsocks-libev.conf", "config.json")
    };
    Site::prepare(peer.name(), &[template], origin, &[("KEY_32", KEY_32.to_owned())])
}

fn programs(peer: Peer) -> Result<[(&'static str, String); 2]> {
    let server = peer.program_at("shoalway".as_ref());
    let client = if peer == Peer::ShadowsocksRust {
        server.with_file_name("sslocal")
    } else {
        machine::find_program("ss-local").context("ss-local is missing")?
    };
    Ok([("server", server.display().to_string()), ("client", client.display().to_string())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_template_stays_unfilled() {
        let origin = OriginPorts { http: 1, echo: 2, source: 3 };
        for peer in [Peer::ShadowsocksRust, Peer::ShadowsocksLibev] {
            let text = site(peer, origin).map(|site| std::fs::read_to_string(site.dir.join("config.json")));
            let text = text.expect("templates are there").expect("written");
            assert!(!text.contains('@'), "{}: {text}", peer.name());
        }
    }
}
