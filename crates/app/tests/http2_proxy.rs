//! A proxy that is reached over TLS speaks HTTP/2 with those who ask for it: requests, tunnels, log-in.

use shoalway_testkit::real::python;
use shoalway_testkit::{Origin, Proxy, Reply, TcpEcho, TestCa};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// A client of its own make, independent of ours: Python's `h2` over Python's `ssl`.
const CLIENT: &str = "
import base64, h2.config, h2.connection, h2.events, socket, ssl, sys

class Client:
    def __init__(self, port, ca):
        context = ssl.create_default_context(cafile=ca)
        context.set_alpn_protocols(['h2'])
        raw = socket.create_connection(('127.0.0.1', port), timeout=20)
        self.tls = context.wrap_socket(raw, server_hostname='127.0.0.1')
        assert self.tls.selected_alpn_protocol() == 'h2'
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding='utf-8'))
        self.h2.initiate_connection()

    def ask(self, fields, more=False):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, fields, end_stream=not more)
        self.flush()
        return stream

    def flush(self):
        self.tls.sendall(self.h2.data_to_send())

    # Status and content of a stream; `enough` ends the wait before the stream does.
    def answer(self, stream, enough=None):
        status, fields, content = None, {}, b''
        while True:
            for event in self.h2.receive_data(self.tls.recv(65536)):
                if getattr(event, 'stream_id', None) != stream: continue
                if isinstance(event, h2.events.ResponseReceived):
                    fields = dict(event.headers); status = fields[':status']
                    if enough == 0: return status, fields, content
                if isinstance(event, h2.events.DataReceived):
                    content += event.data
                    self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
                    if enough is not None and len(content) >= enough: return status, fields, content
                if isinstance(event, h2.events.StreamEnded): return status, fields, content
                assert not isinstance(event, h2.events.StreamReset), event
            self.flush()
";

fn start(config: &str, users: &str) -> (Proxy, TestCa) {
    let ca = TestCa::new();
    let issued = ca.issue(&["127.0.0.1"]);
    let tls = format!("{{ cert = {:?}, key = {:?} }}", issued.cert, issued.key);
    let proxy =
        Proxy::builder(BIN).file("users.htpasswd", users).config(config).set("proxy.tls", tls).start();
    (proxy, ca)
}

fn run(script: &str, proxy: &Proxy, ca: &TestCa, port: u16) -> String {
    let words = [proxy.addr().port().to_string(), ca.file().to_string_lossy().into_owned(), port.to_string()];
    let ran = python(&format!("{CLIENT}{script}"), &[&words[0], &words[1], &words[2]]);
    assert_eq!(ran.code, Some(0), "{ran}");
    ran.text().to_owned()
}

#[test]
fn plain_requests_and_tunnels_share_one_http2_connection() {
    let (proxy, ca) = start("[proxy]\nlevel = \"elite\"", "");
    let (origin, echo) = (Origin::start(Reply::ok("page")), TcpEcho::start());
    let script = format!(
        "
c = Client(int(sys.argv[1]), sys.argv[2])
web, echo = 'localhost:%s' % sys.argv[3], '127.0.0.1:{}'
plain = c.ask([(':method', 'GET'), (':scheme', 'http'), (':authority', web), (':path', '/a?b'), ('x-own', '1')])
print(*c.answer(plain)[::2])
tunnel = c.ask([(':method', 'CONNECT'), (':authority', echo)], more=True)
print(c.answer(tunnel, enough=0)[0])
c.h2.send_data(tunnel, b'through'); c.flush()
print(c.answer(tunnel, enough=7)[2])
refused = c.ask([(':method', 'CONNECT'), (':authority', '127.0.0.1:1')], more=True)
print(c.answer(refused)[0])
",
        echo.addr().port()
    );
    let said = run(&script, &proxy, &ca, origin.addr().port());
    assert_eq!(said, "200 b'page'\n200\nb'through'\n502\n");
    let seen = origin.requests();
    assert_eq!((seen.len(), seen[0].target(), seen[0].header("x-own")), (1, "/a?b", Some("1")));
    assert!(seen[0].header("Via").is_none());
}

#[test]
fn a_log_in_is_asked_for_over_http2() {
    let users = "bee:$2y$05$gUJcHTVDmirNlsvhuW3wBOUkg7vY3w6OgoRvVhNodksn73PHl9e5O\n";
    let (proxy, ca) = start("[proxy]\nauth = [\"basic\"]\nusers = \"users.htpasswd\"", users);
    let origin = Origin::start(Reply::ok("page"));
    let script = "
c = Client(int(sys.argv[1]), sys.argv[2])
web = 'localhost:%s' % sys.argv[3]
head = [(':method', 'GET'), (':scheme', 'http'), (':authority', web), (':path', '/')]
status, fields, _ = c.answer(c.ask(head))
print(status, fields['proxy-authenticate'].split()[0])
print(c.answer(c.ask([(':method', 'CONNECT'), (':authority', web)], more=True))[0])
login = ('proxy-authorization', 'Basic ' + base64.b64encode(b'bee:open sesame').decode())
print(c.answer(c.ask(head + [login]))[0])
";
    assert_eq!(run(script, &proxy, &ca, origin.addr().port()), "407 Basic\n407\n200\n");
    let seen = origin.requests();
    assert!(seen.len() == 1 && seen[0].header("Proxy-Authorization").is_none());
}
