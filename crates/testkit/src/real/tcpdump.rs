//! tcpdump on the loopback interface: which segments pass between a client, the proxy and a server, in which order.

use crate::wait::{PATIENCE, eventually};
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// A capture that goes on until it is dropped. Client, proxy and server are told apart by the addresses of the latter
/// two; the client has another.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    segments: Arc<Mutex<Vec<String>>>,
}

impl Capture {
    /// Begins to capture what passes to and from these addresses of 127.0.0.0/8.
    ///
    /// # Panics
    /// When tcpdump is missing or may not capture, which takes root.
    #[track_caller]
    #[must_use]
    pub fn start(proxy: IpAddr, server: IpAddr) -> Self {
        let filter = format!("tcp and (host {proxy} or host {server})");
        let mut child = Command::new("tcpdump")
            .args(["-i", "lo", "-n", "-t", "-l", "--immediate-mode", &filter])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start tcpdump: {error}: run .ci/setup"));
        let segments = Arc::new(Mutex::new(Vec::new()));
        let (stdout, record) = (child.stdout.take().expect("standard output"), Arc::clone(&segments));
        thread::spawn(move || {
            let mut known = Vec::new();
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(segment) = segment(&line, proxy, server, &mut known) {
                    record.lock().expect("segments").push(segment);
                }
            }
        });
        wait_until_it_listens(child.stderr.take().expect("standard error"));
        Self { child, segments }
    }

    /// Waits until this segment was seen so often, and gives all there are.
    #[track_caller]
    pub fn wait_for(&self, segment: &str, times: usize) -> Vec<String> {
        let what = format!("{times} x {segment:?} in a capture");
        eventually(PATIENCE, &what, || {
            let all = self.segments.lock().expect("segments").clone();
            (all.iter().filter(|seen| *seen == segment).count() >= times).then_some(all)
        })
    }

    /// All segments so far.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        self.segments.lock().expect("segments").clone()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        drop(self.child.kill()); // it may have ended
        drop(self.child.wait());
    }
}

/// tcpdump says so on standard error, or says why not and ends.
#[track_caller]
fn wait_until_it_listens(stderr: ChildStderr) {
    let mut said = Vec::new();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        if line.contains("listening on") {
            return;
        }
        said.push(line);
    }
    panic!("tcpdump does not capture (it takes root): {said:?}");
}

const TO_PROXY: &str = "client -> proxy ";
const TO_SERVER: &str = "proxy  -> server";

/// `FROM -> TO  WHAT` for a line of tcpdump. Of the segments that only acknowledge, the third of a handshake is kept;
/// the others come when they like. `known` are the connections whose third was seen.
fn segment(line: &str, proxy: IpAddr, server: IpAddr, known: &mut Vec<String>) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let ["IP", from, ">", to, "Flags", flags, ..] = words[..] else { return None };
    let at = words.iter().position(|word| *word == "length")?;
    let length: u32 = words.get(at + 1)?.trim_end_matches([':', ',']).parse().ok()?;
    let (from, to) = (from, to.trim_end_matches(':'));
    let is = |end: &str, addr: IpAddr| end.rsplit_once('.').is_some_and(|(ip, _port)| ip == addr.to_string());
    let way = if is(to, proxy) {
        TO_PROXY
    } else if is(from, proxy) {
        "proxy  -> client"
    } else if is(to, server) {
        TO_SERVER
    } else if is(from, server) {
        "server -> proxy "
    } else {
        return None;
    };
    let what = match flags.trim_matches(['[', ']', ',']) {
        "S" => "SYN".to_owned(),
        "S." => "SYN-ACK".to_owned(),
        flags if flags.contains('R') => "RST".to_owned(),
        flags if flags.contains('F') => "FIN".to_owned(),
        _ if length > 0 => format!("{length} octets"),
        _ => {
            let connection = format!("{from} {to}");
            let opens = matches!(way, TO_PROXY | TO_SERVER);
            if !opens || known.contains(&connection) {
                return None;
            }
            known.push(connection);
            "ACK".to_owned()
        }
    };
    Some(format!("{way}  {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_segments() {
        let (proxy, server) = ("127.7.0.1".parse().unwrap(), "127.7.0.2".parse().unwrap());
        let mut known = Vec::new();
        let mut read = |line: &str| segment(line, proxy, server, &mut known);
        let ack = "IP 127.0.0.1.999 > 127.7.0.1.80: Flags [.], ack 1, win 512, length 0";
        for (line, wanted) in [
            (
                "IP 127.0.0.1.999 > 127.7.0.1.80: Flags [S], seq 1, win 5, length 0",
                Some("client -> proxy   SYN"),
            ),
            (
                "IP 127.7.0.1.80 > 127.0.0.1.999: Flags [S.], seq 1, length 0",
                Some("proxy  -> client  SYN-ACK"),
            ),
            (ack, Some("client -> proxy   ACK")),
            (ack, None),
            ("IP 127.7.0.1.80 > 127.0.0.1.999: Flags [.], ack 1, win 512, length 0", None),
            ("IP 127.0.0.1.7 > 127.7.0.2.80: Flags [.], ack 1, length 0", Some("proxy  -> server  ACK")),
            ("IP 127.7.0.2.80 > 127.0.0.1.7: Flags [.], ack 9, length 0", None),
            (
                "IP 127.7.0.2.80 > 127.0.0.1.7: Flags [P.], seq 1:5, length 4: HTTP",
                Some("server -> proxy   4 octets"),
            ),
            ("IP 127.7.0.2.80 > 127.0.0.1.7: Flags [R.], seq 1, length 0", Some("server -> proxy   RST")),
            ("IP6 ::1.7 > ::1.80: Flags [S], length 0", None),
        ] {
            assert_eq!(read(line).as_deref(), wanted, "{line}");
        }
    }
}
