//! One question over the control socket: the least of HTTP/1.1 that the other end, our own, needs (RFC 9112).
//!
//! One connection a question, closed after the answer, which is read to its end. Not here: HTTP for anybody else.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest wait for an answer.
pub(super) const USUAL: Duration = Duration::from_secs(5);
/// The same where lists may have to be read first.
pub(super) const SLOW: Duration = Duration::from_mins(1);
/// Longest answer.
const LONGEST: usize = 4 << 20;

/// Asks one proxy.
pub(super) struct Asker {
    path: PathBuf,
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Why there is none.
#[derive(Debug)]
pub(super) enum AskError {
    /// Nobody is there.
    Away(io::Error),
    /// Somebody is, but does not answer as we do.
    Broken(io::Error),
}

impl Answer {
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

impl Asker {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn get(&self, path: &str) -> Result<Answer, AskError> {
        self.ask("GET", path, "", USUAL)
    }

    pub(super) fn post(&self, path: &str, limit: Duration) -> Result<Answer, AskError> {
        self.ask("POST", path, "", limit)
    }

    pub(super) fn post_json(&self, path: &str, body: &Value, limit: Duration) -> Result<Answer, AskError> {
        self.ask("POST", path, &body.to_string(), limit)
    }

    fn ask(&self, method: &str, path: &str, body: &str, limit: Duration) -> Result<Answer, AskError> {
        let mut stream = UnixStream::connect(&self.path).map_err(AskError::Away)?;
        let length = match method {
            "POST" => format!("Content-Length: {}\r\n", body.len()),
            _ => String::new(),
        };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{length}\r\n{body}");
        let text = exchange(&mut stream, request.as_bytes(), limit).map_err(AskError::Broken)?;
        answer(&text).ok_or_else(|| AskError::Broken(io::ErrorKind::InvalidData.into()))
    }
}

fn exchange(stream: &mut UnixStream, request: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let end = Instant::now() + limit;
    stream.set_write_timeout(Some(limit))?;
    stream.write_all(request)?;
    let (mut text, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buf) {
            Ok(0) => return Ok(text),
            Ok(n) if text.len() + n > LONGEST => return Err(io::ErrorKind::FileTooLarge.into()),
            Ok(n) => text.extend_from_slice(buf.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
}

/// Status and body; nothing when the answer is cut or in a form that our other end never sends.
fn answer(text: &[u8]) -> Option<Answer> {
    let text = str::from_utf8(text).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let length = fields.lines().find_map(|field| {
        let (name, value) = field.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (body.len() == length).then(|| Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        for (text, wanted) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n", Some((200, "ok\n"))),
            ("HTTP/1.1 503 Service Unavailable\r\ndate: x\r\ncontent-length: 0\r\n\r\n", Some((503, ""))),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", None),
            ("HTTP/1.1 200 OK\r\n\r\nok", None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3", None),
            ("SSH-2.0-x\r\n", None),
            ("", None),
        ] {
            let answer = answer(text.as_bytes());
            assert_eq!(answer.as_ref().map(|answer| (answer.status, answer.body.as_str())), wanted, "{text}");
        }
    }

    #[test]
    fn nobody_there_is_told_from_nonsense() {
        let gone = Asker::new("/nowhere/at/all.sock".into());
        assert!(matches!(gone.get("/status"), Err(AskError::Away(_))));
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let error = exchange(&mut ours, b"", Duration::from_millis(10)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
