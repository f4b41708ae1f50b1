//! The proxy with one site before a gRPC server, and a `tonic` channel to it.

use crate::service::{MANY, ONE, Text, in_time};
use shoalway_testkit::{Proxy, TestCa};
use std::net::SocketAddr;
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status, Streaming};

const BIN: &str = env!("CARGO_BIN_EXE_shoalway");

/// How the client reaches the site.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// HTTP/2 with prior knowledge.
    Plain,
    /// TLS with `h2` by ALPN.
    Tls,
}

pub(crate) const WAYS: [Way; 2] = [Way::Plain, Way::Tls];

/// The proxy and a client of its site.
pub(crate) struct Through {
    _proxy: Proxy,
    _ca: TestCa,
    channel: Channel,
}

impl Through {
    pub(crate) async fn new(way: Way, upstream: SocketAddr) -> Self {
        let ca = TestCa::new();
        let tls = match way {
            Way::Plain => String::new(),
            Way::Tls => {
                let issued = ca.issue(&["app.test"]);
                format!(
                    "tls = {{ cert = \"{}\", key = \"{}\" }}",
                    issued.cert.display(),
                    issued.key.display()
                )
            }
        };
        let site =
            format!("[sites.\"app.test\"]\nlisten = \"127.0.0.1:0\"\nto = \"h2c://{upstream}\"\n{tls}\n");
        let proxy = Proxy::builder(BIN).unset("proxy.listen").config(site).start();
        let addr = proxy.listening("sites.app.test");
        let endpoint = match way {
            Way::Plain => Endpoint::from_shared(format!("http://{addr}")).unwrap(),
            Way::Tls => {
                let authority = Certificate::from_pem(std::fs::read(ca.file()).unwrap());
                let tls = ClientTlsConfig::new().ca_certificate(authority).domain_name("app.test");
                Endpoint::from_shared(format!("https://{addr}")).unwrap().tls_config(tls).unwrap()
            }
        };
        let scheme = endpoint.uri().scheme_str().unwrap().to_owned();
        let endpoint = endpoint.origin(format!("{scheme}://app.test").parse().unwrap());
        let channel = in_time(endpoint.connect()).await.unwrap();
        Self { _proxy: proxy, _ca: ca, channel }
    }

    pub(crate) async fn client(&self) -> Grpc<Channel> {
        let mut client = Grpc::new(self.channel.clone());
        in_time(client.ready()).await.unwrap();
        client
    }

    /// One message, one answer.
    pub(crate) async fn unary(&self, request: Request<String>) -> Result<Response<String>, Status> {
        let path = PathAndQuery::from_static(ONE);
        in_time(self.client().await.unary(request, path, Text)).await
    }

    /// One message, a stream of answers.
    pub(crate) async fn many(&self, text: &str) -> Result<Response<Streaming<String>>, Status> {
        let path = PathAndQuery::from_static(MANY);
        let request = Request::new(text.to_owned());
        in_time(self.client().await.server_streaming(request, path, Text)).await
    }
}

/// Messages that a client sends while the call is open.
pub(crate) fn open_ended() -> (mpsc::Sender<String>, ReceiverStream<String>) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ReceiverStream::new(receiver))
}

pub(crate) async fn next(stream: &mut Streaming<String>) -> Option<String> {
    in_time(stream.message()).await.unwrap()
}
