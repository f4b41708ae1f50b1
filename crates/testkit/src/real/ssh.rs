//! A private sshd and the real ssh: own host key, own user key, nothing of the machine's configuration.
//!
//! sshd serves one connection on its standard input (`-i`), so the port is the kit's and no daemon stays behind.

use super::CLIENT_PATIENCE;
use super::ran::Ran;
use crate::server::Server;
use crate::temp::TempDir;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// An ssh server on 127.0.0.1 that knows one key.
#[derive(Debug)]
pub struct SshServer {
    server: Server,
    dir: TempDir,
}

impl SshServer {
    /// Makes the keys and listens.
    #[track_caller]
    #[must_use]
    pub fn start() -> Self {
        let dir = TempDir::new();
        for name in ["host", "user"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name));
            Ran::of(&mut command, b"", CLIENT_PATIENCE).assert_code(0);
        }
        let lines = [
            format!("HostKey {}", dir.join("host").display()),
            format!("AuthorizedKeysFile {}", dir.join("user.pub").display()),
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none"
                .to_owned(),
        ];
        let config = dir.write("sshd_config", lines.join("\n") + "\n");
        let log = dir.join("sshd.log");
        let server = Server::start(move |stream, _| serve(stream, &config, &log));
        Self { server, dir }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Runs a command on it with ssh, through this `ProxyCommand`, where `%h` and `%p` are the server.
    #[track_caller]
    #[must_use]
    pub fn run(&self, proxy_command: &str, remote: &str) -> Ran {
        let mut command = Command::new("ssh");
        command.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
        command.args([
            "-o",
            "UserKnownHostsFile=/dev/null",
            "-o",
            "LogLevel=ERROR",
            "-o",
            "IdentitiesOnly=yes",
        ]);
        command.arg("-o").arg(format!("ProxyCommand={proxy_command}"));
        command.arg("-i").arg(self.dir.join("user")).args(["-p", &self.addr().port().to_string()]);
        command.args([&self.addr().ip().to_string(), remote]);
        let mut ran = Ran::of(&mut command, b"", CLIENT_PATIENCE);
        if ran.code != Some(0) {
            ran.stderr += &std::fs::read_to_string(self.dir.join("sshd.log")).unwrap_or_default();
        }
        ran
    }
}

fn serve(stream: TcpStream, config: &Path, log: &PathBuf) {
    // As root sshd wants this directory for its unprivileged half; without it there is no such half.
    drop(std::fs::create_dir_all("/run/sshd"));
    let output = stream.try_clone().expect("clone a socket");
    let mut command = Command::new("/usr/sbin/sshd");
    command.arg("-i").arg("-E").arg(log).arg("-f").arg(config);
    command.stdin(Stdio::from(OwnedFd::from(stream))).stdout(Stdio::from(OwnedFd::from(output)));
    let ended = command.stderr(Stdio::null()).status();
    assert!(ended.is_ok(), "start sshd: {ended:?}: run .ci/setup");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_runs_a_command_through_a_proxy_command() {
        let server = SshServer::start();
        let ran = server.run("nc.openbsd %h %p", "echo over $((40 + 2))");
        assert_eq!(ran.text(), "over 42\n", "{ran}");
    }
}
