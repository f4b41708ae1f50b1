//! The sections `[exits.NAME]`: URLs of other proxies.
//!
//! User and password are percent-decoded where they stand in the file; what a substitution brought in is taken as
//! it is, so that a password from a file needs no encoding.

use super::Check;
use super::listeners::{Listener, overlap};
use crate::config::at::{At, NOWHERE};
use crate::config::catalogue::Code;
use crate::config::file::ExitSection;
use crate::config::report::{Problem, nearest};
use crate::config::settings::{ExitScheme, ExitSettings, Secret};
use shoalway_types::Target;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;

const SCHEMES: [(&str, ExitScheme, u16); 5] = [
    ("http", ExitScheme::Http, 80),
    ("https", ExitScheme::Https, 443),
    ("socks4a", ExitScheme::Socks4a, 1080),
    ("socks5", ExitScheme::Socks5, 1080),
    ("socks5h", ExitScheme::Socks5, 1080),
];

/// Checks every exit.
pub(super) fn exits(
    sections: &BTreeMap<String, ExitSection>,
    listeners: &[Listener],
    check: &mut Check<'_>,
) -> Vec<ExitSettings> {
    let mut exits = Vec::new();
    for (name, section) in sections {
        check.enter(&["exits", name]);
        let Some(at) = &section.url else {
            if !check.is_lost("url") {
                let problem = Problem::new(Code::Missing, NOWHERE, format!("the exit `{name}` has no `url`"));
                check.add(problem.fix(format!("write url = \"socks5://HOST:1080\" in [exits.{name}]")));
            }
            continue;
        };
        usable_name(name, at, check);
        match parse(name, at, check) {
            Ok(exit) => {
                leads_away(&exit, at, listeners, check);
                exits.push(exit);
            }
            Err((part, why)) => {
                // Only a scheme is repeated: the rest of a URL may hold a password.
                let message = match at.get().get(part.clone()) {
                    Some(scheme) if part.start == 0 && at.get().contains("://") => {
                        format!("the exit `{name}` has no usable URL: unknown scheme `{scheme}`")
                    }
                    Some(_) | None => format!("the exit `{name}` has no usable URL"),
                };
                let place = check.inside(at, part);
                check.add(Problem::new(Code::Exit, place, message).label(why));
            }
        }
    }
    exits
}

/// Notes a name that rules could not contain.
pub(super) fn usable_name(name: &str, at: &At<String>, check: &mut Check<'_>) {
    if !is_usable_name(name) {
        let problem = Problem::new(Code::Name, at.place(), format!("`{name}` cannot be used in a rule"));
        check.add(problem.label("name it with 1 to 64 letters, digits, `-` and `_`"));
    }
}

/// Whether a name has 1 to 64 letters, digits, `-` and `_`.
pub(super) fn is_usable_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (1..=64).contains(&name.len()) && name.chars().all(plain)
}

fn leads_away(exit: &ExitSettings, at: &At<String>, listeners: &[Listener], check: &mut Check<'_>) {
    let Some(ip) = exit.host.ip() else { return };
    let addr = SocketAddr::new(ip, exit.port);
    if let Some(own) = listeners.iter().find(|own| overlap(own.settings.addr, addr)) {
        let wide = own.settings.addr.ip().is_unspecified();
        if wide && !ip.is_loopback() {
            // Whether that address is one of this computer's is not known here.
            return;
        }
        let problem = Problem::new(
            Code::SelfExit,
            at.place(),
            format!("the exit `{}` is this proxy itself", exit.name),
        );
        check.add(problem.label("it leads back here").also(own.place.clone(), "this listener"));
    }
}

type Mistake = (Range<usize>, String);

fn parse(name: &str, at: &At<String>, check: &Check<'_>) -> Result<ExitSettings, Mistake> {
    let text = at.get().as_str();
    let Some((word, rest)) = text.split_once("://") else {
        return Err((0..text.len(), "write SCHEME://HOST:PORT".to_owned()));
    };
    let Some((_, scheme, port)) = SCHEMES.iter().find(|(known, _, _)| *known == word) else {
        let known = SCHEMES.iter().map(|(known, _, _)| *known);
        let label = match nearest(word, known.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known: {}", known.collect::<Vec<_>>().join(", ")),
        };
        return Err((0..word.len(), label));
    };
    let start = word.len() + 3;
    let written = |offset: usize| !check.origins.substituted(&at.place(), offset);
    let user_end = rest.char_indices().rev().find(|(index, c)| *c == '@' && written(start + index));
    let (user, authority_start) = match user_end {
        Some((index, _)) => (rest.get(..index), start + index + 1),
        None => (None, start),
    };
    let authority = text.get(authority_start..).unwrap_or_default();
    let part = authority_start..text.len();
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains(['/', '?', '#']) {
        return Err((part, "nothing may follow the port".to_owned()));
    }
    let target = Target::parse(authority, Some(*port)).map_err(|error| (part, error.to_string()))?;
    let credentials = user.map(|user| credentials(user, start, *scheme, &written)).transpose()?;
    let (host, port) = (target.host, target.port);
    Ok(ExitSettings { name: name.to_owned(), scheme: *scheme, host, port, credentials })
}

fn credentials(
    text: &str,
    start: usize,
    scheme: ExitScheme,
    written: &dyn Fn(usize) -> bool,
) -> Result<(String, Secret), Mistake> {
    let whole = start..start + text.len();
    let colon = text.char_indices().find(|(index, c)| *c == ':' && written(start + index));
    let (user, password, from) = match colon {
        Some((index, _)) => {
            text.get(..index).zip(text.get(index + 1..)).map(|(a, b)| (a, b, start + index + 1))
        }
        None => Some((text, "", start + text.len())),
    }
    .unwrap_or((text, "", start));
    let bad = || (whole.clone(), "a percent sign is followed by no two hex digits".to_owned());
    let user = decode(user, start, written).ok_or_else(bad)?;
    let password = decode(password, from, written).ok_or_else(bad)?;
    if user.contains(|c: char| c.is_control()) || password.contains(|c: char| c.is_control()) {
        return Err((whole, "user or password holds a control character".to_owned()));
    }
    let fits = |text: &str| (1..=255).contains(&text.len());
    match scheme {
        ExitScheme::Socks5 if !fits(&user) || !fits(&password) => {
            Err((whole, "SOCKS5 takes a user and a password of 1 to 255 octets each".to_owned()))
        }
        ExitScheme::Socks4a if !password.is_empty() => {
            Err((whole, "SOCKS4a knows a user, but no password".to_owned()))
        }
        ExitScheme::Http | ExitScheme::Https if user.contains(':') => {
            Err((whole, "a user of an HTTP proxy cannot hold a colon".to_owned()))
        }
        ExitScheme::Http | ExitScheme::Https | ExitScheme::Socks4a | ExitScheme::Socks5 => {
            Ok((user, Secret::new(&password)))
        }
    }
}

/// Percent-decodes what stands in the file; `start` is the offset of `text` in the whole value.
fn decode(text: &str, start: usize, written: &dyn Fn(usize) -> bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.as_bytes().get(at) {
        if *byte == b'%' && written(start + at) {
            let hex = text.get(at + 1..at + 3).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
            bytes.push(u8::from_str_radix(hex, 16).ok()?);
            at += 3;
        } else {
            bytes.push(*byte);
            at += 1;
        }
    }
    String::from_utf8(bytes).ok()
}
