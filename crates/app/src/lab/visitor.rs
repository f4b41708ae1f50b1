//! Loads the demo page through the proxy as a browser would: the page, then all that it names, at once.
//!
//! For scripts and tests, which have no browser at hand. One connection a request, HTTP/1.1 (RFC 9112). Not here: what the
//! answers should be (`page`).

use super::page;
use super::places::exit_at;
use shoalway_net::control_dial::dial;
use shoalway_net::resolver::Resolver;
use shoalway_types::{Host, Target};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Most that is read of one answer.
const MOST: u64 = 1 << 20;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What was asked for.
    pub url: String,
    /// The exit through which it was asked for, or why it did not come.
    pub exit: Result<u8, String>,
}

/// Loads the page and its objects.
pub async fn visit(proxy: SocketAddr, url: &str) -> Vec<Loaded> {
    let page = fetch(proxy, url).await;
    let text = page.as_ref().cloned().unwrap_or_default();
    let mut all = vec![Loaded { url: url.to_owned(), exit: page.and_then(|text| exit_of(&text)) }];
    let mut loading = JoinSet::new();
    for source in page::sources(&text).map(str::to_owned) {
        loading.spawn(async move {
            let exit = fetch(proxy, &source).await.and_then(|text| exit_of(&text));
            Loaded { url: source, exit }
        });
    }
    all.extend(loading.join_all().await);
    all.sort_by(|one, other| one.url.cmp(&other.url));
    all
}

/// One answer's content.
async fn fetch(proxy: SocketAddr, url: &str) -> Result<String, String> {
    match timeout(PATIENCE, exchange(proxy, url)).await {
        Ok(Ok(answer)) => content(&answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_elapsed) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

async fn exchange(proxy: SocketAddr, url: &str) -> std::io::Result<Vec<u8>> {
    // Nothing is looked up: the proxy is an address.
    let resolver = Resolver::of_table(&[], Handle::current());
    let target = Target::new(Host::Ip(proxy.ip()), proxy.port());
    let dialled = dial(&resolver, &target, Instant::now() + PATIENCE).await;
    let mut stream = dialled.map_err(std::io::Error::other)?;
    let authority = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let head = format!("GET {url} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// What follows the head of an answer that is a success and whole.
fn content(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer has no head")?;
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("the answer was `{status}`"));
    }
    let mut lengths = lines.filter_map(|line| line.split_once(':'));
    let length = lengths.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length.and_then(|(_, value)| value.trim().parse::<usize>().ok()) {
        Some(length) if body.len() == length => Ok(body.to_owned()),
        Some(_) => Err("the answer broke off".to_owned()),
        None => Err("the answer does not say how long it is".to_owned()),
    }
}

/// The exit whose address the content names first.
fn exit_of(content: &str) -> Result<u8, String> {
    let words = content.split(|c: char| !c.is_ascii_digit() && c != '.');
    let first = words.filter_map(|word| word.parse::<IpAddr>().ok()).next();
    first.and_then(exit_at).ok_or_else(|| "it did not come through an exit".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::places::Part;
    use super::*;

    #[test]
    fn an_answer_counts_when_it_is_whole_and_says_its_exit() {
        let svg = page::svg("h01.lab01.internal", Part::Exit(9).address());
        let whole = format!("HTTP/1.1 200 OK\r\ncontent-LENGTH: {}\r\n\r\n{svg}", svg.len());
        assert_eq!(content(whole.as_bytes()).and_then(|text| exit_of(&text)), Ok(9));
        let page = page::html(Part::Exit(4).address(), 8042);
        assert_eq!(exit_of(&page), Ok(4));
        for (answer, says) in [
            (whole.get(..whole.len() - 5).unwrap(), "broke off"),
            ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "502"),
            ("HTTP/1.1 200 OK\r\n\r\nx", "how long"),
            ("", "no head"),
        ] {
            let error = content(answer.as_bytes()).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        assert!(
            exit_of(&page::html([127, 0, 0, 1].into(), 8042)).is_err(),
            "the list of exits is not who asked"
        );
    }
}
