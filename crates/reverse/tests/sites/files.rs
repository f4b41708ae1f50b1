//! A directory behind a route, asked by a raw client.

use super::{Served, route, site};
use shoalway_reverse::files::FilesRoot;
use shoalway_reverse::routes::Then;
use shoalway_testkit::TempDir;
use std::os::unix::fs::symlink;
use std::sync::Arc;

fn large() -> Vec<u8> {
    (0..3_000_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// A site of files, and where they are.
fn served() -> (Served, TempDir) {
    let around = TempDir::new();
    let dir = around.join("site");
    for folder in ["sub", ".git", ".well-known", "empty", "a b"] {
        std::fs::create_dir_all(dir.join(folder)).unwrap();
    }
    let text = "hello, file. ".repeat(200);
    for (name, content) in [
        ("index.html", "home"),
        ("sub/index.html", "sub"),
        ("sub/a.txt", text.as_str()),
        (".git/config", "secret"),
        (".well-known/x", "known"),
        ("a b/c%d.txt", "odd name"),
        ("none", ""),
    ] {
        std::fs::write(dir.join(name), content).unwrap();
    }
    std::fs::write(dir.join("large.bin"), large()).unwrap();
    std::fs::write(around.join("secret"), "secret").unwrap();
    symlink("../secret", dir.join("link")).unwrap();
    symlink("..", dir.join("up")).unwrap();
    symlink("sub/a.txt", dir.join("inside")).unwrap();
    let root = Arc::new(FilesRoot::new(dir));
    let served = Served::start(move |_tools| {
        site(vec![route("/f/*", Then::Files(Arc::clone(&root))), route("*.html", Then::Files(root))])
    });
    (served, around)
}

#[test]
fn names_find_files_and_nothing_outside() {
    let (served, _around) = served();
    let mut client = served.connect();
    for (target, status, text) in [
        ("/f/", 200, "home"),
        ("/f/index.html", 200, "home"),
        ("/f", 200, "home"),
        ("/f/sub/", 200, "sub"),
        ("/sub/index.html", 200, "sub"),
        ("/f/sub", 301, ""),
        ("/f/a%20b/c%25d.txt", 200, "odd name"),
        ("/f/none", 200, ""),
        ("/f/.well-known/x", 200, "known"),
        ("/f/.git/config", 404, ""),
        ("/f/empty/", 404, ""),
        ("/f/missing", 404, ""),
        ("/f/index.html/", 404, ""),
        ("/f/index.html/x", 404, ""),
        ("/f/link", 404, ""),
        ("/f/up/secret", 404, ""),
        ("/f/../../secret", 404, ""),
        ("/f/../secret", 404, ""),
        ("/f/%2e%2e/secret", 404, ""),
        ("/f/..%2fsecret", 400, ""),
        ("/f/..%5csecret", 400, ""),
        ("/f/%2e%2e%2fsecret", 400, ""),
        ("/f/sub/..;/..;/secret", 400, ""),
        ("/f/%252e%252e/secret", 404, ""),
        ("/f/....//secret", 404, ""),
        ("/f/sub%2fa.txt", 404, ""),
        ("/f/%00", 400, ""),
        ("/f//etc/passwd", 404, ""),
        ("/f/proc/self/environ", 404, ""),
    ] {
        let answer = client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).read_response();
        assert_eq!(answer.status, status, "{target}");
        assert!(!answer.text().contains("secret") || status != 200, "{target}");
        if status == 200 {
            assert_eq!(answer.text(), text, "{target}");
        }
    }
    let folder = client.send("GET /f/sub?q HTTP/1.1\r\nHost: a\r\n\r\n").read_response();
    assert_eq!(folder.header("Location"), Some("/f/sub/?q"));
    let post = served.ask("POST /f/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!((post.status, post.header("Allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_file_is_described_and_not_sent_twice() {
    let (served, _around) = served();
    let mut client = served.connect();
    let mut ask = |method: &str, fields: &str| {
        client
            .send(format!("{method} /f/sub/a.txt HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
            .read_response_to(method)
    };
    let whole = ask("GET", "");
    let (etag, modified) = (whole.header("ETag").unwrap(), whole.header("Last-Modified").unwrap());
    assert_eq!(whole.header("Content-Type"), Some("text/plain; charset=utf-8"));
    assert_eq!(
        (whole.header("Vary"), whole.header("Accept-Ranges")),
        (Some("Accept-Encoding"), Some("bytes"))
    );
    assert!(whole.header("Date").is_some() && whole.header("Via").is_none());
    let head = ask("HEAD", "");
    assert_eq!((head.header("Content-Length"), head.header("ETag")), (Some("2600"), Some(etag)));
    for (fields, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        ("If-None-Match: \"other\"\r\n".to_owned(), 200),
        ("If-Match: \"other\"\r\n".to_owned(), 412),
        ("Range: bytes=99999-\r\n".to_owned(), 416),
    ] {
        let answer = ask("GET", &fields);
        assert_eq!(answer.status, status, "{fields}");
        assert_eq!(answer.header("ETag").is_some(), matches!(status, 200 | 304), "{}", answer.head);
    }
    let part = ask("GET", "Range: bytes=7-11\r\nAccept-Encoding: gzip\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "file."));
    assert_eq!(part.header("Content-Range"), Some("bytes 7-11/2600"));
    let coded = ask("GET", "Accept-Encoding: gzip\r\n");
    assert_eq!(coded.header("Content-Encoding"), Some("gzip"));
    assert!(coded.body.len() < 500 && coded.header("ETag") != Some(etag));
    let again =
        ask("GET", &format!("Accept-Encoding: gzip\r\nIf-None-Match: {}\r\n", coded.header("ETag").unwrap()));
    assert_eq!(again.status, 304);
}

#[test]
fn a_large_file_comes_whole_and_in_parts_on_one_connection() {
    let (served, _around) = served();
    let large = large();
    let mut client = served.connect();
    for (range, wanted) in [
        (None, &large[..]),
        (Some("bytes=1000000-2999999"), &large[1_000_000..]),
        (Some("bytes=-5"), &large[large.len() - 5..]),
        (None, &large[..]),
    ] {
        let fields = range.map_or_else(String::new, |range| format!("Range: {range}\r\n"));
        client.send(format!("GET /f/large.bin HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        let answer = client.read_response();
        assert_eq!(answer.status, if range.is_some() { 206 } else { 200 });
        assert!(answer.body == wanted, "{range:?}");
        assert_eq!((answer.header("Connection"), answer.header("Via")), (None, None));
    }
    client.send("HEAD /f/large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_response_to("HEAD").header("Content-Length"), Some("3000000"));
    client.send("GET /f/ HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_response().text(), "home");
}

#[test]
fn a_file_that_becomes_shorter_is_not_passed_off_as_whole() {
    let (served, around) = served();
    let mut client = served.connect();
    client.send("GET /f/large.bin HTTP/1.1\r\nHost: a\r\n\r\n");
    client.read_until("\r\n\r\n");
    std::fs::write(around.join("site/large.bin"), b"short").unwrap();
    let (rest, _end) = client.read_to_end(std::time::Duration::from_secs(20));
    assert!(rest.len() < 3_000_000);
}
