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

use super::case::Door;
use super::cores::Cores;
use super::load::OriginPorts;
use super::machine;
use super::peer::{NGINX_STREAM, Peer};
use super::process_tree;

/// A peer's directory and ports; the directory goes with it.
pub(super) struct Site {
    pub(super) dir: PathBuf,
    proxy: u16,
    relay_echo: u16,
    relay_source: u16,
    admin: u16,
}

/// A started peer.
pub(super) struct Running {
    child: Child,
    /// Ends the peer when this process is killed; a timed start has none.
    leash: Option<Child>,
    site: Site,
}

impl Site {
    /// Makes a directory with `peer`'s configuration, every `@WORD@` of its templates filled in.
    ///
    /// # Errors
    /// When a file cannot be written or no port is free.
    pub(super) fn prepare(peer: Peer, origin: OriginPorts) -> Result<Self> {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let dir =
            env::temp_dir().join(format!("shoalway-bench-{}-{serial}-{}", std::process::id(), peer.name()));
        fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        // Peers that give up root write here as their own user.
        fs::set_permissions(&dir, Permissions::from_mode(0o777))?;
        let site = Self {
            dir,
            proxy: free_port()?,
            relay_echo: free_port()?,
            relay_source: free_port()?,
            admin: free_port()?,
        };
        for (template, name) in peer.templates() {
            let from = machine::workspace().join("bench/peers").join(template);
            let text = fs::read_to_string(&from).with_context(|| from.display().to_string())?;
            let file = site.dir.join(name);
            fs::write(&file, site.fill(&text, origin))?;
            fs::set_permissions(&file, Permissions::from_mode(0o666))?;
        }
        Ok(site)
    }

    fn fill(&self, template: &str, origin: OriginPorts) -> String {
        let descriptors = machine::descriptors();
        let user = machine::user();
        let service_user = if machine::is_root() { "trafficserver" } else { user.as_str() };
        let servers = |line: &dyn Fn(u8) -> String| (11..27).map(line).collect::<Vec<_>>().join("\n");
        let echo = origin.echo;
        [
            ("DIR", self.dir.display().to_string()),
            ("PORT", self.proxy.to_string()),
            ("RELAY_ECHO", self.relay_echo.to_string()),
            ("RELAY_SOURCE", self.relay_source.to_string()),
            ("ADMIN", self.admin.to_string()),
            ("HTTP", origin.http.to_string()),
            ("SOURCE", origin.source.to_string()),
            ("HAPROXY_ECHO_SERVERS", servers(&|last| format!("    server o{last} 127.0.0.{last}:{echo}"))),
            ("NGINX_ECHO_SERVERS", servers(&|last| format!("        server 127.0.0.{last}:{echo};"))),
            ("NGINX_STREAM", NGINX_STREAM.to_owned()),
            // Some keep a reserve for themselves and refuse to start when the limit leaves none.
            ("NOFILE", descriptors.saturating_sub(500).to_string()),
            ("MAXCONN", (descriptors.saturating_sub(1000) / 2).to_string()),
            ("ATS_USER", service_user.to_owned()),
            ("USER", user.clone()),
        ]
        .iter()
        .fold(template.to_owned(), |text, (word, value)| text.replace(&format!("@{word}@"), value))
    }

    /// Where `door` listens.
    pub(super) const fn address(&self, door: Door) -> SocketAddrV4 {
        let port = match door {
            Door::Proxy => self.proxy,
            Door::RelayEcho => self.relay_echo,
            Door::RelaySource => self.relay_source,
        };
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // A directory that stays behind under the temporary one does no harm.
        drop(fs::remove_dir_all(&self.dir));
    }
}

impl Running {
    /// Starts `peer` on the proxy's core and waits until `door` listens.
    ///
    /// # Errors
    /// When it cannot be started, ends, or does not listen within 10 s; with the last it said.
    pub(super) fn start(
        peer: Peer,
        door: Door,
        cores: &Cores,
        origin: OriginPorts,
        ours: &Path,
    ) -> Result<Self> {
        let site = Site::prepare(peer, origin)?;
        let child = spawn(&mut peer.command(&site.dir, ours), &site, cores)?;
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
        let until = Instant::now() + Duration::from_secs(10);
        while Instant::now() < until {
            if TcpStream::connect(at).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("ended with {status}: {}", self.last_words());
            }
            sleep(pause);
        }
        bail!("does not listen on {at} after 10 s: {}", self.last_words());
    }

    /// Where `door` listens.
    pub(super) const fn address(&self, door: Door) -> SocketAddrV4 {
        self.site.address(door)
    }

    /// The process from which its tree is counted.
    pub(super) fn root(&self) -> u32 {
        self.child.id()
    }

    /// Its directory.
    pub(super) fn dir(&self) -> &Path {
        &self.site.dir
    }

    /// The last lines it wrote.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read_to_string(self.site.dir.join("output.txt")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.iter().rev().take(3).rev().copied().collect::<Vec<_>>().join(" | ")
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

const FIRST_PORT: u16 = 21_000;
const LAST_PORT: u16 = 32_000;
static NEXT_PORT: AtomicU16 = AtomicU16::new(FIRST_PORT);
static SERIAL: AtomicU16 = AtomicU16::new(0);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_template_stays_unfilled() {
        for peer in Peer::ALL {
            let site = Site::prepare(peer, OriginPorts { http: 1, echo: 2, source: 3 })
                .expect("templates are there");
            for (_, name) in peer.templates() {
                let text = fs::read_to_string(site.dir.join(name)).expect("written");
                assert!(!text.contains('@'), "{name}: {text}");
            }
        }
    }

    #[test]
    fn a_site_goes_with_its_owner() {
        let site =
            Site::prepare(Peer::Squid, OriginPorts { http: 1, echo: 2, source: 3 }).expect("a directory");
        let dir = site.dir.clone();
        assert!(dir.join("squid.conf").is_file());
        drop(site);
        assert!(!dir.exists());
    }
}
