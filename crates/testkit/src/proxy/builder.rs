//! How a proxy is configured and started: the test's file, the kit's overrides, a clean environment.

use super::Proxy;
use super::output::{Events, Lines};
use crate::ca::TestCa;
use crate::dns::Dns;
use crate::temp::TempDir;
use std::process::{Command, Stdio};

/// A proxy that is not started yet.
#[derive(Debug)]
pub struct Builder {
    bin: String,
    config: String,
    overrides: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    words: Vec<String>,
    with_file: bool,
    dir: TempDir,
}

impl Builder {
    pub(super) fn new(bin: &str) -> Self {
        let dir = TempDir::new();
        let quoted = |name: &str| format!("{:?}", dir.join(name));
        let overrides = [
            ("runtime.shards", "2".to_owned()),
            ("proxy.listen", r#"["127.0.0.1:0"]"#.to_owned()),
            ("admin.listen", r#""127.0.0.1:0""#.to_owned()),
            ("admin.socket", quoted("admin.sock")),
            ("log.access", quoted("access.log")),
        ];
        let overrides = overrides.map(|(key, value)| (key.to_owned(), value)).into();
        let words = ["run", "--json"].map(str::to_owned).into();
        let (bin, config) = (bin.to_owned(), String::new());
        Self { bin, config, overrides, environment: vec![], words, with_file: true, dir }
    }

    /// The configuration file; `version = 1` is added where it is missing. Listeners, shards and the places of files
    /// come from the kit, so they do not belong in here: use [`Self::set`] for them.
    #[must_use]
    pub fn config(mut self, text: impl Into<String>) -> Self {
        self.config = text.into();
        self
    }

    /// The rules, one line each.
    #[must_use]
    pub fn rules(self, rules: &[&str]) -> Self {
        self.set("rules", format!("{rules:?}"))
    }

    /// Overrides a key with a TOML value, as `-o KEY=VALUE` does.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.overrides.retain(|(old, _)| old != key);
        self.overrides.push((key.to_owned(), value.to_string()));
        self
    }

    /// Gives up one of the kit's own overrides, so that the file or the program's default holds.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        self.overrides.retain(|(old, _)| old != key);
        self
    }

    /// Names are looked up at this server and nowhere else.
    #[must_use]
    pub fn dns(self, server: &Dns) -> Self {
        self.set("dns.upstream", format!(r#"["udp://{}"]"#, server.addr()))
    }

    /// Trusts this authority for what it speaks TLS to itself, such as an https proxy upstream.
    #[must_use]
    pub fn trusting(self, ca: &TestCa) -> Self {
        self.env("SSL_CERT_FILE", ca.file().display())
    }

    /// Writes a file beside the configuration, which may name it without a path. Its owner alone can read it.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.dir.write_private(name, content);
        self
    }

    /// Another command than `run --json`, and no configuration file. Without `--json` there are no events, so such a
    /// program is [`Self::launch`]ed.
    #[must_use]
    pub fn without_file(mut self, words: &[&str]) -> Self {
        self.words = words.iter().map(ToString::to_string).collect();
        self.with_file = false;
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl ToString) -> Self {
        self.environment.push((name.to_owned(), value.to_string()));
        self
    }

    /// Starts it and waits until it is ready.
    #[track_caller]
    #[must_use]
    pub fn start(self) -> Proxy {
        let proxy = self.launch();
        proxy.events.wait_ready(&proxy.errors);
        proxy
    }

    /// Starts it and does not wait: for starts that are meant to fail.
    #[track_caller]
    #[must_use]
    pub fn launch(self) -> Proxy {
        let mut arguments = Vec::new();
        if self.with_file {
            let file = self.dir.write("shoalway.toml", with_version(&self.config));
            arguments.extend(["-c".to_owned(), file.display().to_string()]);
        }
        for (key, value) in &self.overrides {
            arguments.extend(["-o".to_owned(), format!("{key}={value}")]);
        }
        let mut command = Command::new(&self.bin);
        command.args(&self.words).args(&arguments);
        clean(&mut command, &self.dir).envs(self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("start {}: {error}", self.bin));
        let events = Events::read(child.stdout.take().expect("standard output"));
        let errors = Lines::read(child.stderr.take().expect("standard error"));
        Proxy { child, events, errors, bin: self.bin, arguments, dir: self.dir }
    }
}

/// An environment that says nothing about proxies, and homes that are the test's own.
pub(super) fn clean<'a>(command: &'a mut Command, dir: &TempDir) -> &'a mut Command {
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
        command.env(name, dir.path());
    }
    command.env("NO_COLOR", "1").env_remove("SHOALWAY_CONFIG").current_dir(dir.path())
}

/// `version = 1` must stand before the first table, so it goes first.
pub(super) fn with_version(text: &str) -> String {
    if text.contains("version") { text.to_owned() } else { format!("version = 1\n{text}") }
}
