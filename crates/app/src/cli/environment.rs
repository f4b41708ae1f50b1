//! The proxy variables, and `env`, which prints them for a shell.
//!
//! What programs agree on is little: lower and upper case, an `http://` URL for every scheme (many cannot read
//! `socks5h://` in `all_proxy`), and exact names in `no_proxy`. `HTTP_PROXY` is left out under CGI, where a client
//! could have set it by a `Proxy` header.

use super::{EnvArgs, Exit, Output, ShellKind, listening, loaded};
use crate::config::settings::ListenerSettings;
use crate::config::{Request, Settings, Surroundings};
use crate::operate::listeners;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why nothing can be told before the start.
pub(super) const NO_PORT: &str = "the proxy's port is chosen at its start, and no proxy is running";
/// What stays outside of the proxy.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";
/// Names of the variables in lower case.
const NAMES: [&str; 4] = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"];

/// A listener as a client on this computer reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entrance {
    pub(super) addr: SocketAddr,
    tls: bool,
}

/// Where the proxy is to be reached: as configured, or, when nobody listens there, where the running one says it does.
/// Its port may have been chosen at its start, or given by an option that this command was not given.
pub(super) fn entrance(settings: &Settings) -> Option<Entrance> {
    match configured(settings) {
        Some(entrance) if listening::anyone(entrance.addr) => Some(entrance),
        known => nearest(listeners(&settings.admin.socket)).or(known),
    }
}

/// None when the port is chosen at the start.
fn configured(settings: &Settings) -> Option<Entrance> {
    let each = |listener: &ListenerSettings| (listener.addr, listener.tls.is_some());
    nearest(settings.listeners.iter().map(each).collect())
}

fn nearest(mut listeners: Vec<(SocketAddr, bool)>) -> Option<Entrance> {
    listeners.retain(|(addr, _)| addr.port() != 0);
    let near = listeners.iter().find(|(addr, _)| addr.ip().is_loopback());
    let (addr, tls) = *near.or_else(|| listeners.first())?;
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    Some(Entrance { addr: SocketAddr::new(ip, addr.port()), tls })
}

/// The variables with their values.
pub(super) fn variables(entrance: Entrance, cgi: bool) -> Vec<(String, String)> {
    let scheme = if entrance.tls { "https" } else { "http" };
    let url = format!("{scheme}://{}", entrance.addr);
    let mut all = Vec::new();
    for name in NAMES {
        let value = if name == "no_proxy" { NO_PROXY.to_owned() } else { url.clone() };
        all.push((name.to_owned(), value.clone()));
        if name != "http_proxy" || !cgi {
            all.push((name.to_uppercase(), value));
        }
    }
    all
}

/// Whether the program runs as a CGI script.
pub(super) fn is_cgi(surroundings: &Surroundings) -> bool {
    surroundings.variable("GATEWAY_INTERFACE").is_some() || surroundings.variable("REQUEST_METHOD").is_some()
}

/// Prints the variables for a shell.
pub(super) fn env(args: &EnvArgs, request: &Request, output: &Output) -> io::Result<Exit> {
    let shell = args.shell.unwrap_or_else(|| shell_of(&request.surroundings));
    if args.unset {
        let names = NAMES.iter().flat_map(|name| [(*name).to_owned(), name.to_uppercase()]);
        if output.is_json() {
            output.json(&serde_json::json!({ "unset": names.collect::<Vec<_>>() }))?;
        } else {
            output.text(&names.map(|name| unset(shell, &name)).collect::<String>())?;
        }
        return Ok(Exit::Ok);
    }
    let settings = match loaded(request, output)? {
        Ok(loaded) => loaded.settings,
        Err(exit) => return Ok(exit),
    };
    let Some(entrance) = entrance(&settings) else {
        output
            .failure(NO_PORT, "start the proxy first, or give it a port: -o proxy.listen=127.0.0.1:3128")?;
        return Ok(Exit::Failed);
    };
    let all = variables(entrance, is_cgi(&request.surroundings));
    if output.is_json() {
        let map: serde_json::Map<String, serde_json::Value> =
            all.into_iter().map(|(name, value)| (name, value.into())).collect();
        output.json(&map.into())?;
    } else {
        output.text(&all.iter().map(|(name, value)| set(shell, name, value)).collect::<String>())?;
    }
    Ok(Exit::Ok)
}

fn shell_of(surroundings: &Surroundings) -> ShellKind {
    match surroundings.variable("SHELL").and_then(|path| path.rsplit('/').next()) {
        Some("fish") => ShellKind::Fish,
        Some("pwsh" | "powershell") => ShellKind::Powershell,
        Some(_) | None => ShellKind::Sh,
    }
}

// Values are made of an address and fixed words: nothing in them needs quoting beyond the quotes.
fn set(shell: ShellKind, name: &str, value: &str) -> String {
    match shell {
        ShellKind::Sh => format!("export {name}='{value}'\n"),
        ShellKind::Fish => format!("set -gx {name} '{value}'\n"),
        ShellKind::Powershell => format!("$env:{name} = '{value}'\n"),
    }
}

fn unset(shell: ShellKind, name: &str) -> String {
    match shell {
        ShellKind::Sh => format!("unset {name}\n"),
        ShellKind::Fish => format!("set -e {name}\n"),
        ShellKind::Powershell => format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    fn settings(listen: &str) -> Settings {
        let overrides = vec![format!("proxy.listen={listen}"), "proxy.clients=192.0.2.0/24".to_owned()];
        load(&Request { overrides, ..Request::default() })
            .unwrap_or_else(|report| panic!("{report:?}"))
            .settings
    }

    #[test]
    fn the_nearest_listener_is_the_one_to_use() {
        for (listen, addr) in [
            ("127.0.0.1:3128", Some("127.0.0.1:3128")),
            ("0.0.0.0:3128", Some("127.0.0.1:3128")),
            ("'[::]:3128'", Some("[::1]:3128")),
            ("['192.0.2.1:1080', '127.0.0.1:3128']", Some("127.0.0.1:3128")),
            ("127.0.0.1:0", None),
        ] {
            let settings = settings(listen);
            assert_eq!(configured(&settings).map(|at| at.addr.to_string()).as_deref(), addr, "{listen}");
        }
    }

    #[test]
    fn cgi_gets_no_upper_case_http_proxy() {
        let settings = settings("127.0.0.1:3128");
        let entrance = configured(&settings).unwrap();
        for (cgi, count) in [(false, 8), (true, 7)] {
            let all = variables(entrance, cgi);
            assert_eq!(all.len(), count);
            assert_eq!(all.iter().any(|(name, _)| name == "HTTP_PROXY"), !cgi);
            assert!(all.contains(&("https_proxy".to_owned(), "http://127.0.0.1:3128".to_owned())));
        }
    }

    #[test]
    fn each_shell_gets_its_own_words() {
        assert_eq!(set(ShellKind::Sh, "a", "b"), "export a='b'\n");
        assert_eq!(set(ShellKind::Fish, "a", "b"), "set -gx a 'b'\n");
        assert_eq!(set(ShellKind::Powershell, "a", "b"), "$env:a = 'b'\n");
        let surroundings = Surroundings::default().with_variable("SHELL", "/usr/bin/fish");
        assert_eq!(shell_of(&surroundings), ShellKind::Fish);
    }
}
