//! Reads what stands in front of a stream: a PROXY header, and a TLS hello that is only looked at.
//!
//! Polled, so that what else is under way (`eager.rs`) may be polled beside it. Holds a buffer only while it holds bytes.
//! Whatever is not consumed goes back in front of the stream. Not here: deadlines, what follows from it.

use super::origin::Origin;
use shoalway_net::buffers::{Buffer, Class};
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use shoalway_types::Failure as _;
use shoalway_wire::client_hello::{self, ClientHello};
use shoalway_wire::proxy_protocol;
use std::task::{Context, Poll, ready};

/// Why there is nothing to go by.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    /// The client ended, or broke, before the end.
    #[error("the client left")]
    Gone,
    /// The PROXY header is wrong.
    #[error(transparent)]
    Proxy(proxy_protocol::Error),
    /// The hello is wrong.
    #[error(transparent)]
    Hello(client_hello::Error),
}

impl HeadError {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Gone => "client_gone",
            Self::Proxy(error) => error.word(),
            Self::Hello(error) => error.word(),
        }
    }
}

/// What a client began with.
#[derive(Debug)]
pub(super) enum Hello {
    /// TLS.
    Tls(Box<ClientHello>),
    /// Something else.
    Other,
}

/// Bytes read and not yet understood.
#[derive(Default)]
pub(super) struct HeadReader {
    buffer: Option<Buffer>,
}

impl HeadReader {
    /// Consumes a PROXY header; what it tells of who is connected with whom.
    pub(super) fn poll_origin(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Shard,
        stream: &mut Stream,
        real: &Origin,
    ) -> Poll<Result<Origin, HeadError>> {
        loop {
            ready!(self.poll_more(cx, shard, stream))?;
            let Some(buffer) = &mut self.buffer else { continue };
            let decoded = proxy_protocol::decode(buffer.filled()).map_err(HeadError::Proxy)?;
            if let Some((header, length)) = decoded {
                let origin = Origin::told(&header, real);
                buffer.consume(length);
                return Poll::Ready(Ok(origin));
            }
        }
    }

    /// Looks at a hello of at most `limit` bytes and leaves it where it is.
    pub(super) fn poll_hello(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Shard,
        stream: &mut Stream,
        limit: usize,
    ) -> Poll<Result<Hello, HeadError>> {
        loop {
            // What came behind a PROXY header may be all there is to come.
            if let Some(buffer) = self.buffer.as_ref().filter(|buffer| !buffer.is_empty()) {
                match client_hello::read(buffer.filled(), limit) {
                    Ok(Some(hello)) => return Poll::Ready(Ok(Hello::Tls(Box::new(hello)))),
                    Ok(None) => {}
                    Err(client_hello::Error::NotHandshake) => return Poll::Ready(Ok(Hello::Other)),
                    Err(error) => return Poll::Ready(Err(HeadError::Hello(error))),
                }
            }
            ready!(self.poll_more(cx, shard, stream))?;
        }
    }

    /// Waits until the client has said anything.
    pub(super) fn poll_any(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Shard,
        stream: &mut Stream,
    ) -> Poll<Result<(), HeadError>> {
        if self.buffer.as_ref().is_some_and(|buffer| !buffer.is_empty()) {
            return Poll::Ready(Ok(()));
        }
        self.poll_more(cx, shard, stream)
    }

    /// Puts what was not consumed back in front of the stream.
    pub(super) fn put_back(&mut self, stream: &mut Stream) {
        if let Some(buffer) = self.buffer.take() {
            stream.unread(buffer.filled());
        }
    }

    fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        shard: &Shard,
        stream: &mut Stream,
    ) -> Poll<Result<(), HeadError>> {
        let mut buffer = self.buffer.take().unwrap_or_else(|| shard.buffers().take(Class::Small));
        // Every reader has its own limit, well below the largest buffer.
        if !buffer.make_room() {
            return Poll::Ready(Err(HeadError::Gone));
        }
        match stream.poll_fill(cx, buffer.space()) {
            Poll::Pending => {
                self.buffer = (!buffer.is_empty()).then_some(buffer);
                Poll::Pending
            }
            Poll::Ready(Ok(n)) if n > 0 => {
                buffer.commit(n);
                self.buffer = Some(buffer);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(_) => Poll::Ready(Err(HeadError::Gone)),
        }
    }
}
