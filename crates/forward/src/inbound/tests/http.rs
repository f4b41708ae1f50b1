//! Requests: decided, edited, answered here, refused; the decision that is remembered.

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

fn get(url: &str, fields: &str) -> String {
    let host = url.split('/').nth(2).unwrap_or_default();
    format!("GET {url} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n")
}

/// Status and text of the answer to one request on a connection of its own.
async fn answer(shard: &Rc<Shard>, forward: &Rc<Forward>, request: &str) -> (u16, String) {
    let mut client = client(shard, forward);
    client.write_all(request.as_bytes()).await.unwrap();
    read_answer(&mut client).await
}

#[test]
fn requests_of_one_connection_go_where_they_say() {
    Shard::test(async |shard| {
        let (forward, told) =
            (start(&shard, plan(Far::Says(OK), &["block domain:b.example"])), Told::on(&shard));
        let mut client = client(&shard, &forward);
        for (url, status) in [
            ("http://a.example/1", 200),
            ("http://a.example/2", 200),
            ("http://b.example/3", 403),
            ("http://a.example:8080/4", 200),
        ] {
            client.write_all(get(url, "").as_bytes()).await.unwrap();
            assert_eq!(read_answer(&mut client).await.0, status, "{url}");
        }
        drop(client);
        let blocked = told.lines()[2].clone();
        assert!(
            blocked.starts_with("http GET b.example:80 403 ") && blocked.ends_with("block:1 - blocked"),
            "{blocked}"
        );
        assert_eq!(told.lines()[0], "http GET a.example:80 200 0/2 direct:0 - ok");
        assert_eq!(told.lines().len(), 4);
        assert_eq!(shard.counters().upstream_reused.get(), 1);
    });
}

#[test]
fn the_next_request_asks_the_new_plan() {
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Says(OK), &[]));
        let mut client = client(&shard, &forward);
        let request = get("http://a.example/", "");
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut client).await.0, 200);
        let _blocked = start(&shard, plan(Far::Says(OK), &["block all"]));
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut client).await.0, 403);
        let nobody = vec![shoalway_policy::Cidr::parse("10.0.0.0/8").unwrap()];
        let _closed = start(&shard, ForwardPlan { clients: nobody, ..plan(Far::Says(OK), &[]) });
        // Loopback stays.
        client.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut client).await.0, 200);
    });
}

#[test]
fn clients_from_elsewhere_are_let_in_by_network_only() {
    Shard::test(async |shard| {
        let clients = vec![shoalway_policy::Cidr::parse("192.0.2.0/24").unwrap()];
        let forward = start(&shard, ForwardPlan { clients, ..plan(Far::Says(OK), &[]) });
        for (peer, status) in [("192.0.2.1:1", 200), ("127.0.0.9:1", 200), ("198.51.100.1:1", 403)] {
            let mut client = client_from(&shard, &forward, peer);
            client.write_all(get("http://a.example/", "").as_bytes()).await.unwrap();
            assert_eq!(read_answer(&mut client).await.0, status, "{peer}");
        }
    });
}

#[test]
fn what_is_meant_for_the_proxy_itself_is_answered_here() {
    Shard::test(async |shard| {
        let forward = start(&shard, plan(Far::Hangs, &["block all"]));
        for (request, status, says) in [
            ("GET / HTTP/1.1\r\nHost: 127.0.0.1:3128\r\n\r\n".to_owned(), 400, "This is a proxy"),
            ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 204, "Allow: "),
            (get("http://shoalway.internal/", ""), 200, "127.0.0.1"),
            (get("https://a.example/", ""), 501, "CONNECT"),
            (get("wss://a.example/", ""), 501, "CONNECT"),
            (get("http://2130706433/", ""), 400, "http_request_error"),
            (get("http://a..b/", ""), 400, "http_request_error"),
        ] {
            let (got, text) = answer(&shard, &forward, &request).await;
            assert!(got == status && text.contains(says), "{request}: {text}");
        }
    });
}

#[test]
fn bad_heads_are_told_why_and_logged_without_a_target() {
    Shard::test(async |shard| {
        let (forward, told) = (start(&shard, plan(Far::Says(OK), &[])), Told::on(&shard));
        let (status, text) = answer(&shard, &forward, "GET http://a.example/ HTTP/1.1\r\n\r\n").await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains("Proxy-Status: shoalway; error=http_request_error; details=\""), "{text}");
        shard.tasks().drained().await;
        let line = told.lines()[0].clone();
        assert!(line.starts_with("http  :0 400 "), "{line}");
    });
}

#[test]
fn an_answer_that_never_comes_or_is_none_becomes_an_error() {
    Shard::test(async |shard| {
        for (says, status, word) in
            [("nonsense\r\n\r\n", 502, "http_protocol_error"), ("HTTP/1.1 2", 504, "http_response_timeout")]
        {
            let forward = start(&shard, plan(Far::Says(says), &[]));
            let (got, text) = answer(&shard, &forward, &get("http://a.example/", "")).await;
            assert!(got == status && text.contains(word), "{says}: {text}");
        }
        let forward = start(&shard, plan(Far::Hangs, &[]));
        let (status, text) = answer(&shard, &forward, &get("http://a.example/", "")).await;
        assert!(status == 504 && text.contains("connection_timeout"), "{text}");
    });
}

#[test]
fn a_log_in_is_asked_for_checked_once_and_remembered() {
    Shard::test_in_real_time(async |shard| {
        let text = "ann:$apr1$xZPHxwyd$XXQW2zpl8VfUnQYVhqGBi/";
        let users = Arc::new(shoalway_policy::Users::parse(text).unwrap());
        let auth = Auth::Users { users, realm: "Reading Room".into() };
        let forward = start(&shard, ForwardPlan { auth, ..plan(Far::Says(OK), &["block user:bob"]) });
        let told = Told::on(&shard);
        let url = "http://a.example/";
        let right = "Proxy-Authorization: Basic YW5uOm9wZW4gc2VzYW1l\r\n";
        let mut client = client(&shard, &forward);
        for (fields, status) in [
            ("", 407),
            ("Proxy-Authorization: Basic YW5uOndyb25n\r\n", 407),
            (right, 200),
            (right, 200),
            ("", 407),
            ("Proxy-Authorization: Bearer x\r\n", 407),
        ] {
            client.write_all(get(url, fields).as_bytes()).await.unwrap();
            let (got, text) = read_answer(&mut client).await;
            assert_eq!(got, status, "{fields}: {text}");
            let challenge = "Proxy-Authenticate: Basic realm=\"Reading Room\", charset=\"UTF-8\"";
            assert_eq!(text.contains(challenge), status == 407, "{text}");
        }
        let lines = told.lines();
        assert!(
            lines[0].starts_with("http GET :0 407 0/") && lines[0].ends_with(" :0 - login_missing"),
            "{lines:?}"
        );
        assert!(lines[1].ends_with(" :0 - login_wrong"), "{lines:?}");
        assert_eq!(lines[2], "http GET a.example:80 200 0/2 direct:0 ann ok");
    });
}

#[test]
fn an_upgrade_becomes_a_tunnel_of_its_own_kind() {
    Shard::test(async |shard| {
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello";
        let (forward, told) = (start(&shard, plan(Far::Says(switch), &[])), Told::on(&shard));
        let mut client = client(&shard, &forward);
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        client.write_all(get("http://a.example/chat", fields).as_bytes()).await.unwrap();
        let said = read_until(&mut client, "hello").await;
        assert!(said.starts_with("HTTP/1.1 101 "), "{said}");
        drop(client);
        shard.tasks().drained().await;
        assert_eq!(told.lines(), ["upgrade GET a.example:80 101 0/5 direct:0 - ok"]);
    });
}

#[test]
fn an_exit_is_taken_by_rule_and_named_in_the_log() {
    Shard::test(async |shard| {
        let rules = ["via:other domain:a.example", "allow domain:b.example"];
        let (forward, told) =
            (start(&shard, plan(Far::Fails(ConnectErrorKind::Refused), &rules)), Told::on(&shard));
        for (target, status) in [("a.example:443", 200), ("b.example:443", 502)] {
            let mut client = client(&shard, &forward);
            client
                .write_all(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())
                .await
                .unwrap();
            assert_eq!(read_answer(&mut client).await.0, status, "{target}");
            drop(client);
            shard.tasks().drained().await;
        }
        assert!(told.lines()[0].contains(" via:other:1 "), "{:?}", told.lines());
        assert!(told.lines()[1].contains(" allow:2 "), "{:?}", told.lines());
    });
}
