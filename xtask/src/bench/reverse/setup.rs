//! How each peer is configured, started with one worker, and told to reload.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::super::load::OriginPorts;
use super::super::peer::Peer;
use super::super::site::{Door, Running, Site, Template};
use super::Certificate;

/// What a peer is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    /// One configuration until the end.
    Steady,
    /// It must be able to reload; HAProxy then needs a master process.
    Reloadable,
}

/// Makes the directory of `peer`.
///
/// # Errors
/// When a file cannot be written or no port is free.
pub(super) fn prepare(peer: Peer, origin: OriginPorts, certificate: &Certificate) -> Result<Site> {
    let mut words = certificate.words().to_vec();
    words.push((GENERATION, "0".to_owned()));
    Site::prepare(peer.name(), templates(peer), origin, &words)
}

/// The word of a template that changes with every reload.
const GENERATION: &str = "GENERATION";

const fn templates(peer: Peer) -> &'static [Template] {
    match peer {
        Peer::Shoalway => &[("reverse-shoalway.conf", "shoalway.toml")],
        Peer::Haproxy => &[("reverse-haproxy.conf", "haproxy.conf")],
        Peer::Nginx => &[("reverse-nginx.conf", "nginx.conf")],
        Peer::Envoy => &[("reverse-envoy.conf", "envoy.yaml"), ("reverse-envoy-routes.conf", "routes.yaml")],
        Peer::Caddy => &[("reverse-caddy.conf", "Caddyfile")],
        Peer::Squid
        | Peer::TrafficServer
        | Peer::Tinyproxy
        | Peer::Danted
        | Peer::Microsocks
        | Peer::ShadowsocksRust
        | Peer::ShadowsocksLibev
        | Peer::Tor => &[],
    }
}

/// The command that starts `peer` in the foreground, its files being in `dir`. `ours` is our own binary.
pub(super) fn command(peer: Peer, dir: &Path, ours: &Path, service: Service) -> Command {
    let file = |name: &str| dir.join(name).display().to_string();
    let args: Vec<String> = match peer {
        Peer::Shoalway => vec!["run".into(), "-c".into(), file("shoalway.toml")],
        Peer::Haproxy => {
            let mode = if service == Service::Reloadable { "-W" } else { "-db" };
            vec![mode.into(), "-f".into(), file("haproxy.conf")]
        }
        Peer::Nginx => vec!["-p".into(), dir.display().to_string(), "-c".into(), file("nginx.conf")],
        Peer::Envoy => {
            let fixed = ["--concurrency", "1", "--disable-hot-restart", "-l", "warn", "-c"];
            fixed.into_iter().map(str::to_owned).chain([file("envoy.yaml")]).collect()
        }
        Peer::Caddy => ["run", "--adapter", "caddyfile", "--config"]
            .into_iter()
            .map(str::to_owned)
            .chain([file("Caddyfile")])
            .collect(),
        Peer::Squid
        | Peer::TrafficServer
        | Peer::Tinyproxy
        | Peer::Danted
        | Peer::Microsocks
        | Peer::ShadowsocksRust
        | Peer::ShadowsocksLibev
        | Peer::Tor => Vec::new(),
    };
    let mut command = Command::new(peer.program_at(ours));
    command.args(args).current_dir(dir);
    command
}

/// Writes `peer`'s configuration with another generation and tells it to take it.
///
/// # Errors
/// When a file cannot be written, or the peer's own command for it fails.
pub(super) fn reload(peer: Peer, running: &Running, generation: u32) -> Result<()> {
    running.site().write(templates(peer), &[(GENERATION, generation.to_string())])?;
    match peer {
        Peer::Shoalway | Peer::Nginx => signal(running, Signal::HUP),
        Peer::Haproxy => signal(running, Signal::USR2),
        // Its certificate file stays; it sees its file of routes change.
        Peer::Envoy => Ok(()),
        Peer::Caddy => {
            let mut command = Command::new(peer.program_at(Path::new("")));
            command.args(["reload", "--adapter", "caddyfile", "--config", "Caddyfile", "--address"]);
            command.arg(running.address(Door::Admin).to_string()).current_dir(&running.site().dir);
            let output = command.stdin(Stdio::null()).output().context("caddy reload")?;
            ensure!(output.status.success(), "caddy reload: {}", String::from_utf8_lossy(&output.stderr));
            Ok(())
        }
        Peer::Squid
        | Peer::TrafficServer
        | Peer::Tinyproxy
        | Peer::Danted
        | Peer::Microsocks
        | Peer::ShadowsocksRust
        | Peer::ShadowsocksLibev
        | Peer::Tor => Ok(()),
    }
}

fn signal(running: &Running, signal: Signal) -> Result<()> {
    let pid = i32::try_from(running.root()).ok().and_then(Pid::from_raw).context("its process")?;
    Ok(kill_process(pid, signal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_template_stays_unfilled() {
        let origin = OriginPorts { http: 1, echo: 2, source: 3 };
        let certificate = Certificate::make().expect("openssl");
        for peer in Peer::REVERSE {
            let site = prepare(peer, origin, &certificate).expect("templates are there");
            assert!(!templates(peer).is_empty(), "{}", peer.name());
            for (_, name) in templates(peer) {
                let text = std::fs::read_to_string(site.dir.join(name)).expect("written");
                let mut after = text.split('@').skip(1);
                let unfilled = after.find(|rest| rest.starts_with(|at: char| at.is_ascii_uppercase()));
                assert_eq!(unfilled, None, "{name}");
            }
        }
    }

    #[test]
    fn a_generation_is_written_over_the_one_before() {
        let certificate = Certificate::make().expect("openssl");
        let origin = OriginPorts { http: 1, echo: 2, source: 3 };
        let site = prepare(Peer::Nginx, origin, &certificate).expect("templates are there");
        let read = || std::fs::read_to_string(site.dir.join("nginx.conf")).expect("written");
        assert!(read().contains("return 302 /0/;"));
        site.write(templates(Peer::Nginx), &[(GENERATION, "17".to_owned())]).expect("written again");
        assert!(read().contains("return 302 /17/;"));
    }
}
