//! What the origin answers: a list of acts, with constructors for the usual and the unusual.

use super::request::Seen;
use crate::client::RawClient;
use crate::far::echo;
use crate::wait::PATIENCE;
use std::thread;
use std::time::Duration;

/// One answer. A constructor gives a well-behaved one; the methods after it bend it.
#[derive(Debug, Clone)]
pub struct Reply {
    acts: Vec<Act>,
    end: End,
    early: bool,
}

#[derive(Debug, Clone)]
enum Act {
    Send(Vec<u8>),
    /// Left out in the answer to HEAD.
    SendBody(Vec<u8>),
    /// Status line, length and the request's own body.
    EchoBody,
    /// Status line, length and the request's head.
    EchoHead,
    Pause(Duration),
    Stall,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Keep,
    Close,
    Reset,
    Echo,
}

impl Reply {
    /// 200 with this body and its length.
    #[must_use]
    pub fn ok(body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
        Self::of([Act::Send(head.into()), Act::SendBody(body.to_vec())])
    }

    /// 200 with so many bytes, the letters over and over.
    #[must_use]
    pub fn sized(n: usize) -> Self {
        Self::ok((b'a'..=b'z').cycle().take(n).collect::<Vec<_>>())
    }

    /// 200 with an HTML body.
    #[must_use]
    pub fn html(body: &str) -> Self {
        Self::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// This status, no body and no framing field: 204, 304.
    #[must_use]
    pub fn empty(status: u16) -> Self {
        Self::raw(format!("HTTP/1.1 {status} Empty\r\nX-Kept: yes\r\n\r\n"))
    }

    /// 200 in these chunks, with these trailer lines.
    #[must_use]
    pub fn chunked(chunks: &[&str], trailers: &[&str]) -> Self {
        let mut body = String::new();
        for chunk in chunks {
            body.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        }
        body.push_str("0\r\n");
        for line in trailers {
            body.push_str(&format!("{line}\r\n"));
        }
        body.push_str("\r\n");
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        Self::of([Act::Send(head.into()), Act::SendBody(body.into())])
    }

    /// 200 whose body ends with the connection.
    #[must_use]
    pub fn until_close(body: &str) -> Self {
        Self::raw(format!("HTTP/1.1 200 OK\r\n\r\n{body}")).close()
    }

    /// 200 with the request's body.
    #[must_use]
    pub fn echo() -> Self {
        Self::of([Act::EchoBody])
    }

    /// 200 with the request's head as the body.
    #[must_use]
    pub fn echo_head() -> Self {
        Self::of([Act::EchoHead])
    }

    /// These bytes and nothing else.
    #[must_use]
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of([Act::Send(bytes.into())])
    }

    /// 101 in the manner of WebSocket; then everything comes back.
    #[must_use]
    pub fn upgrade() -> Self {
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        Self { end: End::Echo, ..Self::raw(head) }
    }

    /// No answer at all.
    #[must_use]
    pub fn hang() -> Self {
        Self::of([Act::Stall])
    }

    /// A head that promises so many bytes, and then nothing.
    #[must_use]
    pub fn hang_after_head(promised: usize) -> Self {
        Self::of([Act::Send(promise(promised)), Act::Stall])
    }

    /// Promises so many bytes, sends these and closes.
    #[must_use]
    pub fn promises(promised: usize, sent: &str) -> Self {
        Self::of([Act::Send([&promise(promised), sent.as_bytes()].concat())]).close()
    }

    /// Promises so many bytes, sends these and resets.
    #[must_use]
    pub fn resets_after(promised: usize, sent: &str) -> Self {
        Self { end: End::Reset, ..Self::promises(promised, sent) }
    }

    /// 200 whose body comes in these pieces with a pause before each.
    #[must_use]
    pub fn slow(pieces: &[&str], pause: Duration) -> Self {
        let mut acts = vec![Act::Send(promise(pieces.concat().len()))];
        for piece in pieces {
            acts.extend([Act::Pause(pause), Act::Send((*piece).into())]);
        }
        Self::of(acts)
    }

    /// Another status than 200.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        if let Some(Act::Send(head)) = self.acts.first_mut() {
            let text = String::from_utf8_lossy(head).replacen("200 OK", &format!("{status} Scripted"), 1);
            *head = text.into_bytes();
        }
        self
    }

    /// One more field line in the head.
    #[must_use]
    pub fn with(mut self, line: &str) -> Self {
        if let Some(Act::Send(head)) = self.acts.first_mut() {
            let text = String::from_utf8_lossy(head).replacen("\r\n", &format!("\r\n{line}\r\n"), 1);
            *head = text.into_bytes();
        }
        self
    }

    /// Sends this interim answer first.
    #[must_use]
    pub fn after_interim(mut self, head: &str) -> Self {
        self.acts.insert(0, Act::Send(head.into()));
        // An interim answer invites the body, so it has to go out before the body is waited for.
        self.early = true;
        self
    }

    /// Answers before the upload is read, and reads it afterwards.
    #[must_use]
    pub fn early(mut self) -> Self {
        self.early = true;
        self
    }

    /// Closes after the answer.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    fn of(acts: impl Into<Vec<Act>>) -> Self {
        Self { acts: acts.into(), end: End::Keep, early: false }
    }

    /// Plays it; gives the connection back when it is to be kept.
    pub(super) fn play(
        self,
        mut client: RawClient,
        mut seen: Seen,
        update: &dyn Fn(&Seen),
    ) -> Option<RawClient> {
        if !self.early {
            let invited = seen.header("Expect").is_none() || client.try_send(CONTINUE).is_ok();
            if !(invited && seen.read_body(&mut client)) {
                return None;
            }
            update(&seen);
        }
        for act in &self.acts {
            if !act.play(&mut client, &mut seen, update) {
                return None;
            }
        }
        if !seen.read_body(&mut client) {
            return None;
        }
        update(&seen);
        match self.end {
            End::Keep => Some(client),
            End::Close => None,
            End::Reset => {
                client.reset();
                None
            }
            End::Echo => {
                if client.unread.is_empty() || client.try_send(client.unread.clone()).is_ok() {
                    drop(client.wire.patience(Some(PATIENCE * 3))); // a socket that has gone echoes nothing
                    echo(&mut client.wire);
                }
                None
            }
        }
    }
}

impl Act {
    fn play(&self, client: &mut RawClient, seen: &mut Seen, update: &dyn Fn(&Seen)) -> bool {
        match self {
            Self::Send(bytes) => client.try_send(bytes).is_ok(),
            Self::SendBody(_) if seen.method() == "HEAD" => true,
            Self::SendBody(bytes) => client.try_send(bytes).is_ok(),
            Self::EchoBody => {
                let read = seen.read_body(client);
                update(seen);
                read && client.try_send([&promise(seen.body.len()), &seen.body[..]].concat()).is_ok()
            }
            Self::EchoHead => {
                let text = seen.head.as_bytes();
                client.try_send([&promise(text.len()), text].concat()).is_ok()
            }
            Self::Pause(time) => {
                thread::sleep(*time);
                true
            }
            Self::Stall => {
                client.read_to_end(PATIENCE * 3);
                false
            }
        }
    }
}

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

fn promise(n: usize) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n").into_bytes()
}
