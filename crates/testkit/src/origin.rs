//! An HTTP/1.1 origin on 127.0.0.1 that records exactly what arrived and answers by script.
//!
//! It reads requests by its own few lines, not by the product's engine, and gives up on a connection that sends
//! what it cannot read: such a connection then has fewer requests than the test wanted, and the test says so.

mod reply;
mod request;

pub use reply::Reply;
pub use request::Seen;

use crate::ca::Issued;
use crate::client::RawClient;
use crate::server::Server;
use crate::wait::{PATIENCE, eventually};
use crate::wire::Wire;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running origin.
#[derive(Debug)]
pub struct Origin {
    server: Server,
    seen: Arc<Mutex<Vec<Seen>>>,
    scheme: &'static str,
}

impl Origin {
    /// Answers every request with this.
    #[must_use]
    pub fn start(reply: Reply) -> Self {
        Self::answering(move |_| reply.clone())
    }

    /// The same on this address; port 0 is a free one.
    #[must_use]
    pub fn start_on(addr: SocketAddr, reply: Reply) -> Self {
        Self::new(addr, None, move |_| reply.clone())
    }

    /// Asks `choose` for the answer to each request; the body of the request is not read yet then.
    #[must_use]
    pub fn answering(choose: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        Self::new(ANYWHERE, None, choose)
    }

    /// The same over TLS, with this certificate.
    #[must_use]
    pub fn tls(issued: &Issued, reply: Reply) -> Self {
        Self::new(ANYWHERE, Some(issued.server_config()), move |_| reply.clone())
    }

    fn new(
        addr: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        choose: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let record = Arc::clone(&seen);
        let server = Server::start_on(addr, move |stream, connection| {
            if let Some(client) = accept(stream, tls.as_ref()) {
                serve(client, connection, &record, &choose);
            }
        });
        Self { server, seen, scheme }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Its URL with this path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.addr())
    }

    /// Its URL by the name `localhost`.
    #[must_use]
    pub fn url_by_name(&self, name: &str, path: &str) -> String {
        format!("{}://{name}:{}{path}", self.scheme, self.addr().port())
    }

    /// Requests whose head arrived, in order of arrival; their bodies are filled in as they come.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().expect("requests").clone()
    }

    /// The only request so far, read to its end.
    #[track_caller]
    #[must_use]
    pub fn only_request(&self) -> Seen {
        let mut all = self.wait_for_requests(1);
        assert_eq!(all.len(), 1, "requests at the origin: {all:?}");
        all.remove(0)
    }

    /// Waits until at least `n` requests arrived and were read to their end.
    #[track_caller]
    #[must_use]
    pub fn wait_for_requests(&self, n: usize) -> Vec<Seen> {
        eventually(PATIENCE, "requests at the origin", || {
            Some(self.requests()).filter(|all| all.len() >= n && all.iter().all(|seen| seen.complete))
        })
    }

    /// Connections so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.accepted()
    }

    /// Ends every connection, idle or busy.
    pub fn cut_connections(&self) {
        self.server.cut_connections();
    }
}

fn accept(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Option<RawClient> {
    let mut client = RawClient::from_stream(stream);
    if let Some(config) = tls {
        let Wire::Plain(tcp) = client.wire else { return None };
        let session = ServerConnection::new(Arc::clone(config)).ok()?;
        client.wire = Wire::Server(Box::new(StreamOwned::new(session, tcp)));
    }
    Some(client)
}

/// One connection, request after request, until a reply or the peer ends it.
fn serve(
    mut client: RawClient,
    connection: usize,
    record: &Mutex<Vec<Seen>>,
    choose: &(dyn Fn(&Seen) -> Reply + Send + Sync),
) {
    while client.more_comes() {
        let Some(seen) = request::read_head(&mut client, connection) else { return };
        let reply = choose(&seen);
        let place = {
            let mut all = record.lock().expect("requests");
            all.push(seen.clone());
            all.len() - 1
        };
        let update = |seen: &Seen| record.lock().expect("requests")[place] = seen.clone();
        match reply.play(client, seen, &update) {
            Some(kept) => client = kept,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::TestCa;
    use crate::client::End;
    use crate::wait::millis;

    fn client(origin: &Origin) -> RawClient {
        RawClient::connect(origin.addr())
    }

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn it_keeps_connections_and_records_bytes_as_they_came() {
        let origin = Origin::start(Reply::sized(3));
        let mut one = client(&origin);
        one.send("GET /a HTTP/1.1\r\nhOsT: x\r\n\r\n").read_response();
        one.send("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi").read_response();
        one.send("PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\nT: v\r\n\r\n")
            .read_response();
        let seen = origin.wait_for_requests(3);
        assert_eq!(seen[0].head, "GET /a HTTP/1.1\r\nhOsT: x\r\n\r\n");
        assert_eq!((seen[1].body.as_slice(), seen[1].header("host")), (&b"hi"[..], Some("x")));
        assert_eq!((seen[2].body.as_slice(), &seen[2].trailers[..]), (&b"yo"[..], &["T: v".to_owned()][..]));
        assert_eq!((origin.connections(), seen[2].connection), (1, 0));
    }

    #[test]
    fn replies_frame_their_bodies_in_every_way() {
        let text = |reply: Reply| client(&Origin::start(reply)).send(GET).read_response();
        assert_eq!(text(Reply::ok("abc")).text(), "abc");
        assert_eq!(text(Reply::sized(5)).body.len(), 5);
        let chunked = text(Reply::chunked(&["ab", "c"], &["T: v"]));
        assert_eq!((chunked.text().as_str(), chunked.trailers.len()), ("abc", 1));
        assert_eq!(text(Reply::until_close("abc")).text(), "abc");
        assert_eq!(text(Reply::empty(204)).status, 204);
        assert!(text(Reply::echo_head()).text().starts_with("GET / HTTP/1.1\r\n"));
        let origin =
            Origin::start(Reply::ok("abc").after_interim("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"));
        let mut both = client(&origin);
        assert_eq!(both.send(GET).read_response().status, 103);
        assert_eq!(both.read_response().text(), "abc");
    }

    #[test]
    fn a_head_request_gets_no_body() {
        let origin = Origin::start(Reply::ok("abc"));
        let mut one = client(&origin);
        let answer = one.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").read_response_to("HEAD");
        assert_eq!(answer.header("Content-Length"), Some("3"));
        assert_eq!(one.send(GET).read_response().text(), "abc");
    }

    #[test]
    fn an_early_answer_comes_before_the_upload() {
        let origin = Origin::start(Reply::ok("no").status(413).early());
        let mut one = client(&origin);
        one.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
        assert_eq!(one.read_response().status, 413);
        one.send("late");
        assert_eq!(origin.only_request().body, b"late");
    }

    #[test]
    fn misbehaviour_is_as_scripted() {
        let end = |reply: Reply| {
            let origin = Origin::start(reply);
            client(&origin).send(GET).read_to_end(millis(300))
        };
        assert_eq!(end(Reply::hang()), (vec![], End::StillOpen));
        assert!(
            matches!(end(Reply::hang_after_head(9)), (head, End::StillOpen) if head.ends_with(b"\r\n\r\n"))
        );
        assert!(matches!(end(Reply::promises(9, "abc")), (bytes, End::Closed) if bytes.ends_with(b"abc")));
        assert_eq!(end(Reply::resets_after(9, "abc")).1, End::Reset);
        assert_eq!(end(Reply::raw("junk").close()), (b"junk".to_vec(), End::Closed));
    }

    #[test]
    fn an_upgrade_echoes() {
        let origin = Origin::start(Reply::upgrade());
        let mut one = client(&origin);
        assert_eq!(one.send(GET).read_response().status, 101);
        one.send("frames").expect("frames");
    }

    #[test]
    fn it_speaks_tls_with_a_certificate_of_the_test_authority() {
        let ca = TestCa::new();
        let origin = Origin::tls(&ca.issue(&["localhost"]), Reply::ok("secret"));
        let mut one = client(&origin).start_tls(&ca, "localhost");
        assert_eq!(one.send(GET).read_response().text(), "secret");
    }
}
