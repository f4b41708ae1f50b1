//! The head of the answer: interim ones are passed on, the final one decides what becomes of both connections.

use super::{Ended, Exchange, INTERIM, Stage, request_view};
use crate::filter::BodyFilter;
use crate::h1::body::{BodyFlow, Framing};
use crate::h1::exchange::Around;
use crate::pool::Lost;
use crate::service::{Attempt, Failed};
use shoalway_net::buffers::{Buffer, Class};
use shoalway_wire::http1::compose::{Edits, write_response};
use shoalway_wire::http1::framing::{BodyLength, Version};
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::refusal::Refusal;
use shoalway_wire::http1::request::RequestHead;
use shoalway_wire::http1::response::ResponseView;
use std::task::{Context, Poll, ready};

pub(super) enum Answered {
    Final,
    Switched(Ended),
    /// The stage has changed: another connection, or an answer of ours.
    Failed,
}

enum Parsed {
    More,
    Interim,
    Final,
    Switched(Ended),
    Failed,
}

impl Exchange {
    /// Reads heads until the final one was composed for the client.
    pub(super) fn poll_answer(&mut self, cx: &mut Context<'_>, around: &mut Around<'_>) -> Poll<Answered> {
        loop {
            match self.parse_answer(around) {
                Parsed::Final => return Poll::Ready(Answered::Final),
                Parsed::Switched(ended) => return Poll::Ready(Answered::Switched(ended)),
                Parsed::Failed => return Poll::Ready(Answered::Failed),
                Parsed::Interim => {
                    if let Poll::Ready(Err(_)) = self.down_out.poll_send(cx, around.client) {
                        return Poll::Ready(Answered::Switched(self.broken("client_reset")));
                    }
                }
                Parsed::More => {
                    let read = self.read_answer(cx, around);
                    if self.client_gone {
                        return Poll::Ready(Answered::Switched(self.broken("client_reset")));
                    }
                    match ready!(read) {
                        Ok(()) => {}
                        Err(()) => return Poll::Ready(Answered::Failed),
                    }
                }
            }
        }
    }

    fn read_answer(&mut self, cx: &mut Context<'_>, around: &mut Around<'_>) -> Poll<Result<(), ()>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(Err(())) };
        let mut buffer = match self.down.buffer.take() {
            Some(buffer) => buffer,
            None => around.shard.buffers().take(Class::Medium),
        };
        if !buffer.make_room() {
            self.fail(around, &Failed::BadAnswer(Refusal::HeadTooLarge));
            return Poll::Ready(Err(()));
        }
        match connection.stream.poll_fill(cx, buffer.space()) {
            Poll::Pending => {
                self.down.buffer = (!buffer.is_empty()).then_some(buffer);
                self.watch_client(cx, around);
                if !self.down_out.rest().is_empty() {
                    // Interim answers that the client has not taken yet; its end is noticed when writing.
                    let _later = self.down_out.poll_send(cx, around.client);
                }
                Poll::Pending
            }
            Poll::Ready(Ok(n)) if n > 0 => {
                buffer.commit(n);
                self.down.buffer = Some(buffer);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(end) => {
                let lost = end.err().and_then(|error| Lost::of(&error));
                self.upstream_closed(around, buffer.is_empty(), lost);
                Poll::Ready(Err(()))
            }
        }
    }

    fn parse_answer(&mut self, around: &mut Around<'_>) -> Parsed {
        let Some(buffer) = &self.down.buffer else { return Parsed::More };
        let parsed = match buffer.is_empty() {
            true => Ok(None),
            false => self.response.parse(buffer.filled(), &around.config.http, self.asked),
        };
        match parsed {
            Ok(None) => Parsed::More,
            Ok(Some(len)) => self.on_head(around, len),
            Err(refusal) => {
                self.fail(around, &Failed::BadAnswer(refusal));
                Parsed::Failed
            }
        }
    }

    fn on_head(&mut self, around: &mut Around<'_>, len: usize) -> Parsed {
        let Some(mut buffer) = self.down.buffer.take() else { return Parsed::More };
        let view = self.response.view(buffer.filled().get(..len).unwrap_or_default());
        let (status, body) = (view.status(), view.body());
        if let Some(failure) = around.service.rejects(view) {
            self.fail(around, &failure);
            return Parsed::Failed;
        }
        around.service.edit_response(view, &mut self.edits);
        if view.is_interim() {
            if self.version == Version::Http11 {
                write_response(&mut self.down_out.bytes, view, &self.edits);
            }
            self.edits.clear();
            buffer.consume(len);
            self.down.buffer = Some(buffer);
            self.response.clear();
            if self.down_out.rest().len() > INTERIM {
                self.fail(around, &Failed::BadAnswer(Refusal::HeadTooLarge));
                return Parsed::Failed;
            }
            return Parsed::Interim;
        }
        if self.answers_elsewhere(around, &buffer, len) {
            return Parsed::Failed;
        }
        let view = self.response.view(buffer.filled().get(..len).unwrap_or_default());
        self.account.status = status;
        if status == 101 {
            return Parsed::Switched(self.switch(around, buffer, len));
        }
        self.reusable = view.keep_alive() && body != BodyLength::UntilClose;
        let refused_upload = !self.up.is_read() && status >= 300;
        let filter = filter(&self.request, self.head_len, around, view, &mut self.edits);
        let in_chunks = filter.is_some() && self.version == Version::Http11;
        let until_close = body == BodyLength::UntilClose && !in_chunks;
        self.keep &= !until_close && !refused_upload && !around.shard.is_draining();
        let framing = match filter {
            None => say_connection(&mut self.keep, self.version, view, &mut self.edits),
            Some(_) => frame_anew(&mut self.keep, self.version, view, &mut self.edits),
        };
        write_response(&mut self.down_out.bytes, view, &self.edits);
        self.edits.clear();
        buffer.consume(len);
        self.down = BodyFlow::new(body, &around.config.http, framing);
        self.down.buffer = Some(buffer);
        self.down.through(filter);
        self.answered = true;
        Parsed::Final
    }

    /// Whether the service would rather have another upstream's answer than this one.
    fn answers_elsewhere(&mut self, around: &mut Around<'_>, buffer: &Buffer, len: usize) -> bool {
        if !self.is_repeatable() {
            return false;
        }
        let view = self.response.view(buffer.filled().get(..len).unwrap_or_default());
        let Some(request) = request_view(&self.request, around.head.as_ref(), self.head_len) else {
            return false;
        };
        let Some((upstream, connect)) = around.service.again(around.shard, request, Attempt::Answered(view))
        else {
            return false;
        };
        self.go_to(around, upstream, connect);
        true
    }

    /// 101: what follows are bytes of another protocol, both ways.
    fn switch(&mut self, around: &mut Around<'_>, mut buffer: Buffer, len: usize) -> Ended {
        let view = self.response.view(buffer.filled().get(..len).unwrap_or_default());
        write_response(&mut self.down_out.bytes, view, &self.edits);
        self.edits.clear();
        buffer.consume(len);
        let Some(connection) = self.connection.take() else { return Ended::Reset };
        let mut upstream = connection.stream;
        upstream.unread(buffer.filled());
        upstream.unread(self.down_out.rest());
        if let Some(head) = around.head.as_ref() {
            around.client.unread(head.filled().get(self.head_len..).unwrap_or_default());
        }
        self.stage = Stage::Over;
        Ended::Tunnel(upstream, connection.addr, 101)
    }
}

/// What the service wants the content to go through, if there is any.
fn filter(
    request: &RequestHead,
    head_len: usize,
    around: &mut Around<'_>,
    view: ResponseView<'_>,
    edits: &mut Edits,
) -> Option<Box<dyn BodyFilter>> {
    let has_content = !matches!(view.body(), BodyLength::None | BodyLength::Length(0));
    if !has_content && view.status() != 304 {
        return None;
    }
    let request = request_view(request, around.head.as_ref(), head_len)?;
    around.service.filter_response(around.shard, request, view, edits).filter(|_| has_content)
}

/// The same as [`say_connection`] for content whose length nobody knows yet: RFC 9112 section 6.3.
fn frame_anew(keep: &mut bool, version: Version, view: ResponseView<'_>, edits: &mut Edits) -> Framing {
    edits.drop_known(&view, Known::ContentLength);
    edits.drop_known(&view, Known::TransferEncoding);
    match version {
        Version::Http11 => {
            edits.add(b"Transfer-Encoding", b"chunked");
            say_kept(*keep, version, edits);
            Framing::Anew
        }
        Version::Http10 => {
            edits.drop_known(&view, Known::Trailer);
            *keep = false;
            say_kept(*keep, version, edits);
            Framing::Removed
        }
    }
}

/// Says in the answer's head whether the client's connection stays. HTTP/1.0 knows no chunks: then it does not.
fn say_connection(keep: &mut bool, version: Version, view: ResponseView<'_>, edits: &mut Edits) -> Framing {
    let mut framing = Framing::Kept;
    if version == Version::Http10 && view.body() == BodyLength::Chunked {
        edits.drop_known(&view, Known::TransferEncoding);
        edits.drop_known(&view, Known::Trailer);
        framing = Framing::Removed;
        *keep = false;
    }
    say_kept(*keep, version, edits);
    framing
}

fn say_kept(keep: bool, version: Version, edits: &mut Edits) {
    match (keep, version) {
        (false, _) => edits.add(b"Connection", b"close"),
        (true, Version::Http10) => edits.add(b"Connection", b"keep-alive"),
        (true, Version::Http11) => true,
    };
}
