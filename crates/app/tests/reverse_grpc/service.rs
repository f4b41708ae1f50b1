//! A gRPC service and its client by `tonic`, without generated code: messages are text, the four kinds of calls are
//! four paths, and the test plays the handler.
//!
//! A handler does nothing by itself: every call is handed to the test as a [`Call`], which sees what arrived while
//! the client still waits. Framing, status and metadata are tonic's.

use bytes::{Buf, BufMut};
use shoalway_testkit::PATIENCE;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder, Streaming};
use tonic::codegen::http::{HeaderMap, Request as HttpRequest, Response as HttpResponse};
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::{BoxFuture, Service};
use tonic::metadata::MetadataMap;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Messages are text as it is.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Text;

impl Codec for Text {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Text {
    type Item = String;
    type Error = Status;

    fn encode(&mut self, item: String, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Text {
    type Item = String;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<String>, Status> {
        let bytes = from.copy_to_bytes(from.remaining());
        String::from_utf8(bytes.into()).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

/// Path of a call with one answer, whatever number of messages leads to it.
pub(crate) const ONE: &str = "/test.Words/One";
/// Path of a call with a stream of answers.
pub(crate) const MANY: &str = "/test.Words/Many";

/// What a handler says: a message, or how the call ends.
pub(crate) type Said = Result<String, Status>;

/// A call that has arrived: the test reads its messages and answers.
pub(crate) struct Call {
    /// Fields of the request as they came over HTTP/2.
    pub(crate) fields: HeaderMap,
    /// Messages of the client, as they come.
    messages: Streaming<String>,
    answer: Answer,
}

enum Answer {
    One(oneshot::Sender<Result<Response<String>, Status>>),
    Many(mpsc::Sender<Said>),
}

impl Call {
    /// The next message of the client; none: it has ended its side.
    pub(crate) async fn message(&mut self) -> Option<String> {
        in_time(self.messages.message()).await.unwrap()
    }

    /// Says one message, or the status that ends the call.
    pub(crate) async fn say(&mut self, said: Said) {
        match &mut self.answer {
            Answer::Many(sender) => in_time(sender.send(said)).await.unwrap(),
            Answer::One(_) => panic!("a call with one answer is ended by `finish`"),
        }
    }

    /// The one answer, with metadata in its head.
    pub(crate) fn finish(self, answer: Result<Response<String>, Status>) {
        match self.answer {
            Answer::One(sender) => sender.send(answer).unwrap(),
            Answer::Many(_) => panic!("a call with many answers ends when it is dropped"),
        }
    }

    /// Waits until nobody wants the answer any more.
    pub(crate) async fn unwanted(&mut self) {
        match &mut self.answer {
            Answer::One(sender) => in_time(sender.closed()).await,
            Answer::Many(sender) => in_time(sender.closed()).await,
        }
    }
}

/// A server on loopback with a thread and a runtime of its own, so that its end is the end of all its connections.
pub(crate) struct Words {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    calls: mpsc::Receiver<Call>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Words {
    /// Starts it on a free port.
    pub(crate) fn start() -> Self {
        let (sender, calls) = mpsc::channel(16);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
                tell.send(incoming.local_addr().unwrap()).unwrap();
                let incoming = incoming.with_nodelay(Some(true));
                tokio::select! {
                    served = Server::builder().serve_with_incoming(Handler(sender), incoming) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Self { addr: told.recv().unwrap(), calls, running: Some((stop, thread)) }
    }

    /// The next call.
    pub(crate) async fn call(&mut self) -> Call {
        in_time(self.calls.recv()).await.unwrap()
    }

    /// Ends it with whatever is under way.
    pub(crate) fn cut(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        self.cut();
    }
}

#[derive(Clone)]
struct Handler(mpsc::Sender<Call>);

impl Service<HttpRequest<Body>> for Handler {
    type Response = HttpResponse<Body>;
    type Error = Infallible;
    type Future = BoxFuture<HttpResponse<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequest<Body>) -> Self::Future {
        let (fields, calls) = (request.headers().clone(), self.0.clone());
        let many = request.uri().path() == MANY;
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(if many {
                grpc.streaming(Many { fields, calls }, request).await
            } else {
                grpc.client_streaming(One { fields, calls }, request).await
            })
        })
    }
}

struct One {
    fields: HeaderMap,
    calls: mpsc::Sender<Call>,
}

impl Service<Request<Streaming<String>>> for One {
    type Response = Response<String>;
    type Error = Status;
    type Future = BoxFuture<Response<String>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        let (sender, answer) = oneshot::channel();
        let call =
            Call { fields: self.fields.clone(), messages: request.into_inner(), answer: Answer::One(sender) };
        self.calls.try_send(call).unwrap_or_else(|_| panic!("nobody takes the call"));
        Box::pin(async move { answer.await.unwrap_or_else(|_| Err(Status::aborted("dropped"))) })
    }
}

struct Many {
    fields: HeaderMap,
    calls: mpsc::Sender<Call>,
}

impl Service<Request<Streaming<String>>> for Many {
    type Response = Response<ReceiverStream<Said>>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Streaming<String>>) -> Self::Future {
        let (sender, answers) = mpsc::channel(1);
        let call = Call {
            fields: self.fields.clone(),
            messages: request.into_inner(),
            answer: Answer::Many(sender),
        };
        self.calls.try_send(call).unwrap_or_else(|_| panic!("nobody takes the call"));
        let mut response = Response::new(ReceiverStream::new(answers));
        response.metadata_mut().insert("x-first", "in the head".parse().unwrap());
        ready(Ok(response))
    }
}

/// A value of metadata.
pub(crate) fn value<'a>(metadata: &'a MetadataMap, name: &str) -> Option<&'a str> {
    metadata.get(name).map(|value| value.to_str().unwrap())
}

/// What comes in time; the test fails when it does not.
pub(crate) async fn in_time<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("in time")
}
