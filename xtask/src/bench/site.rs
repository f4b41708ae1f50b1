//! A peer at work: its directory, ports, filled-in configuration and process tree; all of it ends on drop.

use std::env;
use std::fs;
use std::fs::{File, Permissions};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cores::Cores;
use super::load::OriginPorts;
use super::machine;
use super::peer::NGINX_STREAM;
use super::process_tree;

/// A configuration: name of the template in `bench/peers/` and of the file made from it.
pub(super) type Template = (&'static str, &'static str);

/// Which port of a peer is used; some have one for each job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Door {
    /// Plain: proxy requests, or a site's.
    Proxy,
    /// A site with TLS.
    Tls,
    RelayEcho,
    RelaySource,
    /// Where the peer itself is spoken to.
    Admin,
}

impl Door {
    const ALL: [Self; 5] = [Self::Proxy, Self::Tls, Self::RelayEcho, Self::RelaySource, Self::Admin];

    /// Its word in a template.
    const fn word(self) -> &'static str {
        match self {
            Self::Proxy => "PORT",
            Self::Tls => "TLS_PORT",
            Self::RelayEcho => "RELAY_ECHO",
            Self::RelaySource => "RELAY_SOURCE",
            Self::Admin => "ADMIN",
        }
    }
}

/// A peer's directory and ports; the directory goes with it.
pub(super) struct Site {
    pub(super) dir: PathBuf,
    ports: Vec<(Door, u16)>,
    /// What stands for each `@WORD@` of a template.
    words: Vec<(&'static str, String)>,
}

/// A started peer.
pub(super) struct Running {
    child: Child,
    /// Ends the peer when this process is killed; a timed start has none.
    leash: Option<Child>,
    site: Site,
}

impl Site {
    /// Makes a directory for `name` with its configuration, every `@WORD@` of `templates` filled in; `words` are those
    /// that only this benchmark has.
    ///
    /// # Errors
    /// When a file cannot be written or no port is free.
    pub(super) fn prepare(
        name: &str,
        templates: &[Template],
        origin: OriginPorts,
        words: &[(&'static str, String)],
    ) -> Result<Self> {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("shoalway-bench-{}-{serial}-{name}", std::process::id()));
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        let mut site = Self { dir, ports: Vec::new(), words: words.to_vec() };
        // Peers that give up root write here as their own user.
        fs::set_permissions(&site.dir, Permissions::from_mode(0o777))?;
        for door in Door::ALL {
            site.ports.push((door, free_port()?));
        }
        site.words.extend(site.ports.iter().map(|(door, port)| (door.word(), port.to_string())));
        site.words.extend(facts(&site.dir, origin));
        site.write(templates, &[])?;
        Ok(site)
    }

    /// Writes the files of `templates`, anew when they are there; `words` come before those of [`Site::prepare`].
    ///
    /// # Errors
    /// When a template cannot be read or a file not written.
    pub(super) fn write(&self, templates: &[Template], words: &[(&'static str, String)]) -> Result<()> {
        for (template, name) in templates {
            let from = machine::workspace().join("bench/peers").join(template);
            let text = fs::read_to_string(&from).with_context(|| from.display().to_string())?;
            let fill =
                |text: String, (word, value): &(&str, String)| text.replace(&format!("@{word}@"), value);
            let text = words.iter().chain(&self.words).fold(text, fill);
            // Renamed into place: a peer that watches the file sees it whole.
            let (new, file) = (self.dir.join(format!("{name}.new")), self.dir.join(name));
            fs::write(&new, text)?;
            fs::set_permissions(&new, Permissions::from_mode(0o666))?;
            fs::rename(&new, &file)?;
        }
        Ok(())
    }

    /// Where `door` listens.
    pub(super) fn address(&self, door: Door) -> SocketAddrV4 {
        let port = self.ports.iter().find(|(one, _)| *one == door).map_or(0, |(_, port)| *port);
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }
}

/// The words that every template may use.
fn facts(dir: &Path, origin: OriginPorts) -> Vec<(&'static str, String)> {
    let descriptors = machine::descriptors();
    let user = machine::user();
    let service_user = if machine::is_root() { "trafficserver" } else { user.as_str() };
    let servers = |line: &dyn Fn(u8) -> String| (11..27).map(line).collect::<Vec<_>>().join("\n");
    let echo = origin.echo;
    vec![
        ("DIR", dir.display().to_string()),
        ("HTTP", origin.http.to_string()),
        ("SOURCE", origin.source.to_string()),
        ("HAPROXY_ECHO_SERVERS", servers(&|last| format!("    server o{last} 127.0.0.{last}:{echo}"))),
        ("NGINX_ECHO_SERVERS", servers(&|last| format!("        server 127.0.0.{last}:{echo};"))),
        ("SHOALWAY_ECHO_SERVERS", servers(&|last| format!("  \"127.0.0.{last}:{echo}\","))),
        (
            "ENVOY_ECHO_SERVERS",
            servers(&|last| {
                let address = format!("address: 127.0.0.{last}, port_value: {echo}");
                format!("        - endpoint: {{ address: {{ socket_address: {{ {address} }} }} }}")
            }),
        ),
        ("NGINX_STREAM", NGINX_STREAM.to_owned()),
        // Some keep a reserve for themselves and refuse to start when the limit leaves none.
        ("NOFILE", descriptors.saturating_sub(500).to_string()),
        ("MAXCONN", (descriptors.saturating_sub(1000) / 2).to_string()),
        ("ATS_USER", service_user.to_owned()),
        ("USER", user),
    ]
}

impl Drop for Site {
    fn drop(&mut self) {
        // A directory that stays behind under the temporary one does no harm.
        drop(fs::remove_dir_all(&self.dir));
    }
}

impl Running {
    /// Starts `command` in `site` on the proxy's core and waits until `door` listens.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not listen within [`LISTENS`]; with the last it said.
    pub(super) fn start(mut command: Command, site: Site, door: Door, cores: &Cores) -> Result<Self> {
        let child = spawn(&mut command, &site, cores)?;
        let mut running = Self { child, site, leash: None };
        running.leash = Some(leash(running.root(), &running.site.dir)?);
        running.wait_for(running.address(door), Duration::from_millis(10))?;
        Ok(running)
    }

    /// Starts `command` as it is in `site`, and gives the time until `at` accepts.
    ///
    /// # Errors
    /// As [`Running::start`].
    pub(super) fn timed(
        mut command: Command,
        site: Site,
        at: SocketAddrV4,
        cores: &Cores,
    ) -> Result<Duration> {
        let begin = Instant::now();
        let child = spawn(&mut command, &site, cores)?;
        let mut running = Self { child, site, leash: None };
        running.wait_for(at, Duration::from_micros(100))?;
        Ok(begin.elapsed())
    }

    fn wait_for(&mut self, at: SocketAddrV4, pause: Duration) -> Result<()> {
        let until = Instant::now() + LISTENS;
        while Instant::now() < until {
            if TcpStream::connect(at).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status}: {}", self.last_words());
            }
            sleep(pause);
        }
        bail!("does not listen on {at} after {} s: {}", LISTENS.as_secs(), self.last_words());
    }

    /// Where `door` listens.
    pub(super) fn address(&self, door: Door) -> SocketAddrV4 {
        self.site.address(door)
    }

    /// The process from which its tree is counted.
    pub(super) fn root(&self) -> u32 {
        self.child.id()
    }

    /// Its directory and ports.
    pub(super) const fn site(&self) -> &Site {
        &self.site
    }

    /// The lines in which it named an error, else the last it wrote.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.site.dir.join("output.txt")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let errors = lines.iter().filter(|line| line.to_ascii_lowercase().starts_with("error"));
        let errors: Vec<&str> = errors.take(3).copied().collect();
        let words =
            if errors.is_empty() { lines.get(lines.len().saturating_sub(3)..) } else { Some(&*errors) };
        words.unwrap_or_default().join(" | ")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The leash first: it would see its end of the pipe closed, and end whoever has the number by then.
        if let Some(mut leash) = self.leash.take() {
            drop(leash.kill());
            drop(leash.wait());
        }
        process_tree::end(self.child.id());
        // It was killed; waiting only clears it away.
        drop(self.child.wait());
    }
}

fn spawn(command: &mut Command, site: &Site, cores: &Cores) -> Result<Child> {
    let output = File::create(site.dir.join("output.txt"))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    command.env("HOME", &site.dir).env("RUST_BACKTRACE", "0");
    cores.spawn(cores.proxy, command)
}

/// A shell that waits for this process to end, however it ends, and then ends the peer and removes its directory.
///
/// A peer that changes its user cannot be tied to its parent by the kernel.
fn leash(peer: u32, dir: &Path) -> Result<Child> {
    const SCRIPT: &str = r#"read line; kill -TERM "$0"; sleep 2; kill -KILL "$0"; rm -rf "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, &peer.to_string()]).arg(dir).stdin(Stdio::piped());
    // An interrupt from the terminal must not end it before its work is done.
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().context("sh")
}

/// A port nobody listens on, below those the kernel gives to outgoing connections; each is given out once.
///
/// # Errors
/// When all are taken.
pub(super) fn free_port() -> Result<u16> {
    loop {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        if port >= LAST_PORT {
            bail!("no free port from {FIRST_PORT} to {LAST_PORT}");
        }
        // Proxies listen on 127.0.0.1, the origin on 127.0.0.11 and following.
        let free = |last| TcpListener::bind((Ipv4Addr::new(127, 0, 0, last), port)).is_ok();
        if [1, 11, 26].into_iter().all(free) {
            return Ok(port);
        }
    }
}

/// How long a peer may take until it listens; a network has to find itself first.
const LISTENS: Duration = Duration::from_secs(60);
const FIRST_PORT: u16 = 21_000;
const LAST_PORT: u16 = 32_000;
static NEXT_PORT: AtomicU16 = AtomicU16::new(FIRST_PORT);
static SERIAL: AtomicU16 = AtomicU16::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_goes_with_its_owner_and_its_files_can_be_written_again() {
        let origin = OriginPorts { http: 1, echo: 2, source: 3 };
        let templates = [("squid.conf", "squid.conf")];
        let site = Site::prepare("squid", &templates, origin, &[]).expect("a directory");
        let file = site.dir.join("squid.conf");
        assert!(fs::read_to_string(&file).expect("written").contains(&site.dir.display().to_string()));
        site.write(&templates, &[("DIR", "elsewhere".to_owned())]).expect("written again");
        assert!(fs::read_to_string(&file).expect("written").contains("elsewhere"));
        let dir = site.dir.clone();
        drop(site);
        assert!(!dir.exists());
    }
}
