//! Other servers beside the program under test: started with a configuration of the test's, frozen, killed.

use crate::temp::TempDir;
use crate::wait::{PATIENCE, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

/// Another program that listens on 127.0.0.1; ended with the test.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    addr: SocketAddr,
    _dir: TempDir,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Peer {
    /// Starts a program with these words and the file of its configuration behind them, and waits until it listens;
    /// `config` is told the port and the directory.
    #[track_caller]
    #[must_use]
    pub fn start(program: &str, words: &[&str], config: impl Fn(u16, &TempDir) -> String) -> Self {
        let dir = TempDir::new();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let addr = free.local_addr().expect("own address");
        drop(free);
        let file = dir.write("peer.conf", config(addr.port(), &dir));
        let child = Command::new(program)
            .args(words)
            .arg(file)
            .current_dir(dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("start {program}: {error}: run .ci/setup"));
        eventually(PATIENCE, &format!("{program} to listen"), || TcpStream::connect(addr).ok());
        Self { child, addr, _dir: dir }
    }

    /// An nginx of one process that serves `index.html` with this text; `lines` stand in its `server`.
    #[track_caller]
    #[must_use]
    pub fn nginx(text: &str, lines: &str) -> Self {
        Self::start("nginx", &["-p", ".", "-c"], |port, dir| {
            let at = dir.path().display();
            dir.write("index.html", text);
            format!(
                "user root; daemon off; master_process off; pid {at}/pid; error_log /dev/null; worker_processes 1;\n\
                 events {{ worker_connections 256; }}\n\
                 http {{ access_log off; client_body_temp_path {at}/b; proxy_temp_path {at}/p;\n\
                 fastcgi_temp_path {at}/f; uwsgi_temp_path {at}/u; scgi_temp_path {at}/s;\n\
                 server {{ listen 127.0.0.1:{port}; root {at};\n{lines} }} }}\n"
            )
        })
    }

    /// An HAProxy in this mode between its own port and one server; `bind` and `line` stand behind their addresses.
    #[track_caller]
    #[must_use]
    pub fn haproxy(bind: &str, server: SocketAddr, line: &str, mode: &str) -> Self {
        Self::start("haproxy", &["-f"], |port, _| {
            format!(
                "global\n  maxconn 256\ndefaults\n  mode {mode}\n  timeout connect 5s\n  timeout client 10s\n  \
                 timeout server 10s\nlisten all\n  bind 127.0.0.1:{port} {bind}\n  server one {server} {line}\n"
            )
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends it at once: SIGKILL.
    pub fn kill(&mut self) {
        drop(self.child.kill()); // it may have ended
        drop(self.child.wait());
    }

    /// Stops it where it stands: its sockets stay open and nobody answers there.
    #[track_caller]
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    #[track_caller]
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("send a signal");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{End, RawClient};
    use crate::wait::millis;

    #[test]
    fn a_frozen_server_takes_connections_and_says_nothing_until_it_is_thawed() {
        let nginx = Peer::nginx("hello", "");
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(RawClient::connect(nginx.addr()).send(get).read_response().text(), "hello");
        nginx.freeze();
        let mut client = RawClient::connect(nginx.addr());
        assert_eq!(client.send(get).read_to_end(millis(200)), (vec![], End::StillOpen));
        nginx.thaw();
        assert_eq!(client.read_response().text(), "hello");
    }
}
