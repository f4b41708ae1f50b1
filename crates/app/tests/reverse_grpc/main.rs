//! gRPC through a site: a `tonic` client and a `tonic` server with the proxy between them, over plain HTTP/2 with
//! prior knowledge and over TLS.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::large_futures,
    reason = "a test reads best so, and runs its own server"
)]

mod service;
mod through;

use service::{Call, MANY, ONE, Text, Words, in_time, value};
use shoalway_testkit::Refusing;
use std::time::Duration;
use through::{Through, WAYS, Way, next, open_ended};
use tokio::sync::mpsc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status, Streaming};

#[tokio::test]
async fn one_message_is_answered_by_one_with_metadata_both_ways() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        let mut request = Request::new("hello".to_owned());
        request.metadata_mut().insert("x-asked", "yes".parse().unwrap());
        request.metadata_mut().insert_bin("x-raw-bin", MetadataValue::from_bytes(&[0, 255, 10]));
        let (answer, ()) = tokio::join!(through.unary(request), async {
            let mut call = server.call().await;
            let field = |name: &str| call.fields.get(name).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(field("te").as_deref(), Some("trailers"), "{way:?}");
            assert_eq!(field("content-type").as_deref(), Some("application/grpc"), "{way:?}");
            assert_eq!(
                (field("x-asked").as_deref(), field("x-raw-bin").as_deref()),
                (Some("yes"), Some("AP8K"))
            );
            assert_eq!(call.message().await.as_deref(), Some("hello"));
            assert_eq!(call.message().await, None);
            let mut answer = Response::new("world".to_owned());
            answer.metadata_mut().insert("x-answered", "also".parse().unwrap());
            call.finish(Ok(answer));
        });
        let answer = answer.unwrap();
        assert_eq!(value(answer.metadata(), "x-answered"), Some("also"), "{way:?}");
        assert_eq!(answer.into_inner(), "world", "{way:?}");
    }
}

#[tokio::test]
async fn a_megabyte_passes_both_ways() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        let large: String = ('a'..='z').cycle().take(1024 * 1024).collect();
        let (answer, ()) = tokio::join!(through.unary(Request::new(large.clone())), async {
            let mut call = server.call().await;
            let message = call.message().await.unwrap();
            call.finish(Ok(Response::new(message)));
        });
        assert!(answer.unwrap().into_inner() == large, "{way:?}");
    }
}

#[tokio::test]
async fn a_stream_of_answers_arrives_one_by_one_and_ends_with_trailers() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        let (answers, mut call) = tokio::join!(through.many("count"), server.call());
        let answers = answers.unwrap();
        assert_eq!(value(answers.metadata(), "x-first"), Some("in the head"), "{way:?}");
        let mut answers = answers.into_inner();
        assert_eq!(call.message().await.as_deref(), Some("count"));
        for text in ["one", "two", "", "three"] {
            // The next one is not said before this one has arrived.
            call.say(Ok(text.to_owned())).await;
            assert_eq!(next(&mut answers).await.as_deref(), Some(text), "{way:?}");
        }
        let mut trailing = MetadataMap::new();
        trailing.insert("x-last", "in the trailers".parse().unwrap());
        call.say(Err(Status::with_metadata(Code::Ok, "", trailing))).await;
        drop(call);
        assert_eq!(next(&mut answers).await, None, "{way:?}");
        let trailers = in_time(answers.trailers()).await.unwrap().unwrap();
        assert_eq!(value(&trailers, "x-last"), Some("in the trailers"), "{way:?}");
    }
}

#[tokio::test]
async fn a_stream_of_requests_arrives_one_by_one() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        let (sender, messages) = open_ended();
        let mut client = through.client().await;
        let path = PathAndQuery::from_static(ONE);
        let (answer, ()) =
            tokio::join!(in_time(client.client_streaming(Request::new(messages), path, Text)), async {
                sender.send("first".to_owned()).await.unwrap();
                let mut call = server.call().await;
                assert_eq!(call.message().await.as_deref(), Some("first"));
                for text in ["second", "third"] {
                    sender.send(text.to_owned()).await.unwrap();
                    assert_eq!(call.message().await.as_deref(), Some(text), "{way:?}");
                }
                drop(sender);
                assert_eq!(call.message().await, None, "{way:?}");
                call.finish(Ok(Response::new("three".to_owned())));
            });
        assert_eq!(answer.unwrap().into_inner(), "three", "{way:?}");
    }
}

/// An open call with streams both ways.
async fn talk(through: &Through, server: &mut Words) -> (mpsc::Sender<String>, Streaming<String>, Call) {
    let (sender, messages) = open_ended();
    let mut client = through.client().await;
    let path = PathAndQuery::from_static(MANY);
    let (answers, call) =
        tokio::join!(in_time(client.streaming(Request::new(messages), path, Text)), server.call());
    (sender, answers.unwrap().into_inner(), call)
}

#[tokio::test]
async fn both_sides_talk_in_turns_on_one_call() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        let (sender, mut answers, mut call) = talk(&through, &mut server).await;
        for n in 0..10 {
            sender.send(format!("ping {n}")).await.unwrap();
            assert_eq!(call.message().await, Some(format!("ping {n}")), "{way:?}");
            call.say(Ok(format!("pong {n}"))).await;
            assert_eq!(next(&mut answers).await, Some(format!("pong {n}")), "{way:?}");
        }
        // Each side ends by itself: the server goes on after the client has ended.
        drop(sender);
        assert_eq!(call.message().await, None, "{way:?}");
        call.say(Ok("a last word".to_owned())).await;
        assert_eq!(next(&mut answers).await.as_deref(), Some("a last word"), "{way:?}");
        drop(call);
        assert_eq!(next(&mut answers).await, None, "{way:?}");
    }
}

fn failure() -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-reason", "not today".parse().unwrap());
    Status::with_details_and_metadata(
        Code::FailedPrecondition,
        "100 % of it is \u{fc}bel",
        vec![1, 2, 3].into(),
        metadata,
    )
}

fn assert_failure(status: &Status, what: &str) {
    assert_eq!(status.code(), Code::FailedPrecondition, "{what}: {status:?}");
    assert_eq!(status.message(), "100 % of it is \u{fc}bel", "{what}");
    assert_eq!(status.details(), [1, 2, 3], "{what}");
    assert_eq!(value(status.metadata(), "x-reason"), Some("not today"), "{what}");
}

#[tokio::test]
async fn an_error_passes_with_its_code_message_details_and_metadata() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        // Without a message the status stands in the head of the answer, and nothing else comes.
        let (answer, ()) = tokio::join!(through.unary(Request::new("x".to_owned())), async {
            server.call().await.finish(Err(failure()));
        });
        assert_failure(&answer.unwrap_err(), &format!("{way:?} at once"));
        let (answers, mut call) = tokio::join!(through.many("x"), server.call());
        let mut answers = answers.unwrap().into_inner();
        call.say(Ok("so far so good".to_owned())).await;
        assert_eq!(next(&mut answers).await.as_deref(), Some("so far so good"));
        call.say(Err(failure())).await;
        assert_failure(&in_time(answers.message()).await.unwrap_err(), &format!("{way:?} in the middle"));
    }
}

#[tokio::test]
async fn a_deadline_reaches_the_server_and_ends_the_call() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        let mut request = Request::new("slowly".to_owned());
        request.set_timeout(Duration::from_millis(300));
        let (answer, ()) = tokio::join!(through.unary(request), async {
            let mut call = server.call().await;
            assert_eq!(call.fields.get("grpc-timeout").unwrap(), "300000u", "{way:?}");
            call.unwanted().await;
        });
        let code = answer.unwrap_err().code();
        assert!(matches!(code, Code::DeadlineExceeded | Code::Cancelled), "{way:?}: {code:?}");
    }
}

#[tokio::test]
async fn a_client_that_gives_up_is_noticed_by_the_server() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        // While the answer has not begun.
        let mut call = tokio::select! {
            answer = through.unary(Request::new("x".to_owned())) => panic!("an answer: {answer:?}"),
            call = server.call() => call,
        };
        call.unwanted().await;
        // In the middle of streams both ways.
        let (sender, mut answers, mut call) = talk(&through, &mut server).await;
        call.say(Ok("one".to_owned())).await;
        assert_eq!(next(&mut answers).await.as_deref(), Some("one"));
        drop((answers, sender));
        call.unwanted().await;
        // The connection is fit for the next call.
        let (answer, ()) = tokio::join!(through.unary(Request::new("x".to_owned())), async {
            server.call().await.finish(Ok(Response::new("fine".to_owned())));
        });
        assert_eq!(answer.unwrap().into_inner(), "fine", "{way:?}");
    }
}

#[tokio::test]
async fn nobody_behind_the_site_is_unavailable() {
    for way in WAYS {
        let dead = Refusing::start();
        let through = Through::new(way, dead.addr()).await;
        for _ in 0..2 {
            let status = through.unary(Request::new("x".to_owned())).await.unwrap_err();
            assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
        }
        assert_eq!(through.many("x").await.unwrap_err().code(), Code::Unavailable, "{way:?}");
    }
}

#[tokio::test]
async fn a_server_that_goes_in_the_middle_is_an_error_and_no_end() {
    for way in WAYS {
        let mut server = Words::start();
        let through = Through::new(way, server.addr).await;
        let (answers, mut call) = tokio::join!(through.many("x"), server.call());
        let mut answers = answers.unwrap().into_inner();
        call.say(Ok("one".to_owned())).await;
        assert_eq!(next(&mut answers).await.as_deref(), Some("one"));
        server.cut();
        assert_ne!(in_time(answers.message()).await.unwrap_err().code(), Code::Ok, "{way:?}");
        drop(call);
        let status = through.unary(Request::new("x".to_owned())).await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{way:?}: {status:?}");
    }
}

#[tokio::test]
async fn many_calls_share_a_connection_and_none_waits_for_another() {
    let mut server = Words::start();
    let through = Through::new(Way::Tls, server.addr).await;
    let (_held, mut answers, mut first) = talk(&through, &mut server).await;
    for n in 0..50 {
        let (answer, ()) = tokio::join!(through.unary(Request::new(n.to_string())), async {
            let mut call = server.call().await;
            let message = call.message().await.unwrap();
            call.finish(Ok(Response::new(message)));
        });
        assert_eq!(answer.unwrap().into_inner(), n.to_string());
    }
    first.say(Ok("still here".to_owned())).await;
    assert_eq!(next(&mut answers).await.as_deref(), Some("still here"));
}
