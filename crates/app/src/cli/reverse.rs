//! `reverse --from HOST|ADDRESS --to URL`: one site made of flags, turned into the configuration file that means the same.
//!
//! `--from :8080` and `--from ADDRESS:PORT` take any host; without an address it is 127.0.0.1, and `0.0.0.0:8080` serves
//! everybody. `--from HOST[:PORT]` takes that host alone, on every address and port 80 unless one is named. Not here:
//! checking the result, which the configuration does as for any file.

use super::translate::quoted;
use super::{ReverseArgs, Translated};
use shoalway_types::Host;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Port of a host that names none.
const PORT: u16 = 80;

/// Turns flags into a file.
///
/// # Errors
/// What is wrong with `--from`.
pub(super) fn translate(args: &ReverseArgs) -> Result<Translated, String> {
    let (host, addr) = from(&args.from)?;
    let to: Vec<String> = args.to.iter().map(|url| quoted(&with_scheme(url))).collect();
    let toml = format!(
        "version = 1\n\n[sites.{}]\nlisten = [{}]\nto = [{}]\n",
        quoted(&host),
        quoted(&addr.to_string()),
        to.join(", ")
    );
    Ok(Translated { toml, logins: Vec::new() })
}

fn from(text: &str) -> Result<(String, SocketAddr), String> {
    let text = text.strip_prefix("http://").unwrap_or(text);
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.starts_with("https://") {
        return Err(
            "a site with TLS needs a certificate: write a file with `tls` and use `run -c FILE`".into()
        );
    }
    let local = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
    let bare = text.strip_prefix(':').unwrap_or(text);
    if let Ok(port) = bare.parse::<u16>() {
        return Ok(("*".to_owned(), local(port)));
    }
    if let Ok(addr) = text.parse::<SocketAddr>() {
        return Ok(("*".to_owned(), addr));
    }
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => {
            (name, port.parse::<u16>().map_err(|_no_port| format!("`{port}` is not a port"))?)
        }
        None => (text, PORT),
    };
    let below = name.strip_prefix("*.").unwrap_or(name);
    if below == "localhost" {
        return Ok((name.to_owned(), local(port)));
    }
    match Host::parse(below) {
        Ok(Host::Name(_)) => Ok((name.to_owned(), SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port))),
        Ok(Host::Ip(ip)) => Ok(("*".to_owned(), SocketAddr::new(IpAddr::to_canonical(&ip), port))),
        Err(error) => Err(format!("`{text}` is neither an address nor a host: {error}")),
    }
}

/// `3000` and `HOST:PORT` mean plain HTTP.
fn with_scheme(url: &str) -> String {
    if url.contains("://") || url.starts_with("unix:") {
        return url.to_owned();
    }
    match url.strip_prefix(':').unwrap_or(url).parse::<u16>() {
        Ok(port) => format!("http://127.0.0.1:{port}"),
        Err(_no_port) => format!("http://{url}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Request, Surroundings, load};

    fn toml(from: &str, to: &[&str]) -> Result<String, String> {
        let to = to.iter().map(|url| (*url).to_owned()).collect();
        let args = ReverseArgs { from: from.to_owned(), to, save: None };
        translate(&args).map(|translated| translated.toml)
    }

    #[test]
    fn where_from_is_an_address_or_a_host() {
        for (from, site, listen) in [
            (":8080", "*", "127.0.0.1:8080"),
            ("8080", "*", "127.0.0.1:8080"),
            ("0.0.0.0:8080", "*", "0.0.0.0:8080"),
            ("[::1]:8080", "*", "[::1]:8080"),
            ("192.0.2.1", "*", "192.0.2.1:80"),
            ("localhost:8080", "localhost", "127.0.0.1:8080"),
            ("app.example.org", "app.example.org", "0.0.0.0:80"),
            ("http://app.example.org:8080/", "app.example.org", "0.0.0.0:8080"),
            ("*.example.org:8080", "*.example.org", "0.0.0.0:8080"),
        ] {
            let wanted = format!(
                "version = 1\n\n[sites.\"{site}\"]\nlisten = [\"{listen}\"]\nto = [\"http://127.0.0.1:3000\"]\n"
            );
            assert_eq!(toml(from, &["3000"]), Ok(wanted), "{from}");
        }
        for from in ["https://app.example.org", "a b", "app.example.org:http", ""] {
            assert!(toml(from, &["3000"]).is_err(), "{from}");
        }
    }

    #[test]
    fn the_file_loads() {
        let text =
            toml(":8080", &["h2c://192.0.2.1:9000", "unix:/run/app.sock", "app.internal:3000"]).unwrap();
        let surroundings = Surroundings::default().with_file("(flags)", &*text);
        let request = Request { file: Some("(flags)".into()), overrides: Vec::new(), surroundings };
        let settings = load(&request).unwrap_or_else(|report| panic!("{report:?}")).settings;
        assert_eq!((settings.listeners.len(), settings.sites.len()), (0, 1));
        assert_eq!(settings.sites[0].to.as_ref().unwrap().endpoints.len(), 3);
    }
}
