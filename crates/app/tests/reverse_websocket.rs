//! WebSockets through a site, opened by Chromium: over HTTP/1.1, and over TLS as streams of HTTP/2 (RFC 8441).

use shoalway_testkit::real::{Browsed, chromium_without_proxy};
use shoalway_testkit::{Origin, PATIENCE, Proxy, Reply, TestCa, WebSocketEcho, eventually};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// Its script opens three WebSockets one after the other and writes what it saw: an echo of text and of 100,000 octets
/// and a close by the server; a close by the client; one that is refused. The page has loaded when its image has, which
/// is answered when the script is done.
const PAGE: &str = r#"<!doctype html><title>t</title><p id=p>loading</p><img src=/held><script>
const seen = [], to = path => location.origin.replace('http', 'ws') + path;
const closed = socket => new Promise(done => socket.onclose = e => done([e.code, e.reason, e.wasClean].join('/')));
const message = socket => new Promise(done => socket.onmessage = e => done(e.data));
const opened = socket => new Promise(done => socket.onopen = done);
const within = (promise, what) =>
  Promise.race([promise, new Promise((_, no) => setTimeout(() => no(what), 10000))]);
async function all() {
  const echo = new WebSocket(to('/socket'), ['other', 'echo']);
  echo.binaryType = 'arraybuffer';
  const end = closed(echo);
  await within(opened(echo), 'open');
  seen.push('protocol ' + echo.protocol);
  echo.send('gr\u00fc\u00df dich');
  seen.push('text ' + await within(message(echo), 'text'));
  const octets = new Uint8Array(100000).map((_, n) => n * 7);
  echo.send(octets);
  const back = new Uint8Array(await within(message(echo), 'binary'));
  seen.push('binary ' + (back.length == octets.length && back.every((octet, n) => octet == octets[n])));
  echo.send('close 4001 that is all');
  seen.push('by server ' + await within(end, 'close'));
  const other = new WebSocket(to('/socket')), otherEnd = closed(other);
  await within(opened(other), 'second open');
  other.close(4002, 'bye');
  seen.push('by client ' + await within(otherEnd, 'second close'));
  seen.push('refused ' + await within(closed(new WebSocket(to('/none'))), 'refusal'));
}
all().catch(what => seen.push('failed ' + what))
  .then(() => { document.getElementById('p').textContent = seen.join(', '); return fetch('/release'); });
</script>"#;

const SEEN: &str = "protocol echo, text gr\u{fc}\u{df} dich, binary true, by server 4001/that is all/true, \
                    by client 4002/bye/true, refused 1006//false";

/// Serves the page, and answers `/held` when `/release` is asked for.
fn page() -> Origin {
    let (release, released) = std::sync::mpsc::sync_channel(1);
    let released = std::sync::Mutex::new(released);
    Origin::answering(move |seen| match seen.target() {
        "/held" => {
            let waited = released.lock().map(|released| released.recv_timeout(PATIENCE).is_ok());
            Reply::ok(if waited.unwrap_or_default() { "released" } else { "given up" })
        }
        "/release" => Reply::ok(if release.send(()).is_ok() { "released" } else { "nobody waits" }),
        "/" => Reply::html(PAGE),
        _ => Reply::ok("nothing").status(404),
    })
}

fn browse(proxy: &Proxy, scheme: &str) -> Browsed {
    let port = proxy.listening("sites.app.test").port();
    let browsed = chromium_without_proxy(&format!("{scheme}://app.test:{port}/"));
    assert!(browsed.ran.text().contains(SEEN), "{}", browsed.ran);
    browsed
}

fn site(page: &Origin, socket: &WebSocketEcho, tls: &str) -> Proxy {
    let config = format!(
        "[sites.\"app.test\"]\nlisten = \"127.0.0.1:0\"\nto = \"http://{}\"\nroutes = [\"/socket -> http://{}\"]\n{tls}\n",
        page.addr(),
        socket.addr()
    );
    Proxy::builder(BIN).unset("proxy.listen").config(config).start()
}

fn assert_closes(socket: &WebSocketEcho) {
    let closes = eventually(PATIENCE, "both ends at the upstream", || {
        Some(socket.closes()).filter(|closes| closes.len() == 2)
    });
    // The first is the answer to the server's own.
    let close = |code, reason: &str| Some((code, reason.to_owned()));
    assert_eq!(closes, [close(4001, "that is all"), close(4002, "bye")]);
}

#[test]
fn chromium_opens_websockets_over_http() {
    let (page, socket) = (page(), WebSocketEcho::start());
    let browsed = browse(&site(&page, &socket, ""), "http");
    assert!(!browsed.net_log.contains(":protocol: websocket"));
    assert_closes(&socket);
}

#[test]
fn chromium_opens_websockets_as_streams_of_http2() {
    let (page, socket, ca) = (page(), WebSocketEcho::start(), TestCa::new());
    let issued = ca.issue(&["app.test"]);
    let tls = format!("tls = {{ cert = \"{}\", key = \"{}\" }}", issued.cert.display(), issued.key.display());
    let proxy = site(&page, &socket, &tls);
    let browsed = browse(&proxy, "https");
    assert!(browsed.net_log.contains(":protocol: websocket"), "the browser did not use RFC 8441");
    assert_closes(&socket);
}
