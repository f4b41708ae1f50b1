//! Answers that sites give themselves: errors, redirects, fixed texts.
//!
//! Each error says why in `Proxy-Status` (RFC 9209), with a word and without a destination. Not here: files.

use crate::attempt::Refused;
use crate::compress;
use crate::routes::{BadPath, FieldEdit, FixedAnswer};
use shoalway_http::answer::{Answer, is_grpc};
use shoalway_http::service::Failed;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::request::RequestView;
use std::time::Duration;

/// No site has this host: RFC 9110 section 15.5.20.
pub(super) fn no_site() -> Answer {
    Answer::error(421, "http_request_error", "no_site", "There is no site of this name here.")
}

/// The site has no route for it.
pub(super) fn no_route() -> Answer {
    Answer::error(404, "http_request_error", "no_route", "There is nothing at this address.")
}

/// The path has no single meaning.
pub(super) fn bad_path(bad: BadPath) -> Answer {
    Answer::error(400, "http_request_error", bad.word(), bad.sentence())
}

/// The answer to an authority that checks a name: RFC 8555 section 8.3.
pub(super) fn challenge(answer: &str) -> Answer {
    Answer::content(200, "application/octet-stream", answer.to_owned())
}

/// A method that is not for sites.
pub(super) fn no_tunnels() -> Answer {
    let sentence = "This is a site and not a proxy: it opens no tunnels.";
    Answer::error(405, "http_request_error", "connect", sentence).field("Allow", METHODS).closing()
}

/// OPTIONS of the whole server: RFC 9110 section 9.3.7.
pub(super) fn options() -> Answer {
    Answer::empty(204).field("Allow", METHODS)
}

const METHODS: &str = "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH";

/// RFC 9110 section 15.5.6.
pub(super) fn not_allowed(allow: &str) -> Answer {
    Answer::error(405, "http_request_denied", "method", "This method is not allowed here.")
        .field("Allow", allow)
}

/// RFC 9110 section 15.5.14.
pub(super) fn too_large() -> Answer {
    let sentence = "The content of the request is longer than this site takes here.";
    Answer::error(413, "http_request_error", "content_too_large", sentence).closing()
}

/// RFC 6585 section 4.
pub(super) fn too_often(wait: Duration) -> Answer {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let sentence = "There were too many requests from your network.";
    Answer::error(429, "http_request_denied", "rate", sentence).field("Retry-After", &seconds.to_string())
}

/// HTTP/1.0 in a form that names its host in one place alone.
pub(super) fn no_host() -> Answer {
    Answer::error(400, "http_request_error", "host_missing", "The Host field is missing.")
}

/// There is nobody to send it to.
pub(super) fn refused(refused: Refused, retry_after: u32) -> Answer {
    let sentence = match refused {
        Refused::Breaker(_) | Refused::Late => "The site has as much to do as it can bear.",
        Refused::NobodyLeft => "No server of this site is up.",
    };
    Answer::error(503, refused.proxy_status(), refused.word(), sentence)
        .field("Retry-After", &retry_after.to_string())
}

/// What a request is told that failed on its way. Never more than a word of the far side: whoever asks has no business
/// with what stands behind a site.
pub(super) fn failed(failure: &Failed, retry_after: u32) -> Answer {
    let status = failure.status();
    let details = match failure {
        Failed::Refused(refusal) | Failed::BadAnswer(refusal) => refusal.word(),
        Failed::Connect(_)
        | Failed::ClientTimeout
        | Failed::UpstreamClosed
        | Failed::UpstreamTimeout
        | Failed::Ended => "",
    };
    let sentence = match failure {
        Failed::Refused(_) | Failed::ClientTimeout | Failed::Ended => capital(&failure.sentence()),
        Failed::Connect(_) => "The site's server cannot be reached.".to_owned(),
        Failed::UpstreamClosed => "The site's server broke off before it had answered.".to_owned(),
        Failed::BadAnswer(_) => "The site's server gave an answer that is not valid HTTP.".to_owned(),
        Failed::UpstreamTimeout => "The site's server did not answer in time.".to_owned(),
    };
    let answer = Answer::error(status, failure.word(), details, &sentence);
    if status == 503 { answer.field("Retry-After", &retry_after.to_string()) } else { answer }
}

/// Fixed text, in a coding that the client takes.
pub(super) fn fixed(fixed: &FixedAnswer, request: Option<RequestView<'_>>) -> Answer {
    let offered = || fixed.coded().map(|(coding, _)| coding);
    let chosen = match request.filter(|request| request.has(Known::AcceptEncoding)) {
        Some(request) => {
            let accept: Vec<&[u8]> =
                request.get_all(Known::AcceptEncoding).map(|field| field.value).collect();
            compress::choose(&accept, offered())
        }
        None => None,
    };
    let coded = chosen.and_then(|coding| fixed.coded().find(|(known, _)| *known == coding));
    let answer = match coded {
        None => Answer::content(fixed.status, &fixed.content_type, fixed.body.clone()),
        Some((coding, body)) => {
            Answer::content(fixed.status, &fixed.content_type, body).field("Content-Encoding", coding.word())
        }
    };
    if offered().next().is_some() { answer.field("Vary", "Accept-Encoding") } else { answer }
}

/// In the form that the client reads: errors as a page, or as a status of gRPC.
pub(super) fn as_asked(answer: Answer, request: Option<RequestView<'_>>) -> Answer {
    let content_type = request.and_then(|request| request.get_all(Known::ContentType).next());
    match content_type {
        Some(field) if is_grpc(field.value) => answer.in_grpc(),
        Some(_) | None => answer,
    }
}

/// Makes the operator's edits.
pub(super) fn edited(answer: Answer, edits: &[FieldEdit]) -> Answer {
    edits.iter().fold(answer, |answer, edit| edit.apply(answer))
}

fn capital(sentence: &str) -> String {
    let mut rest = sentence.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    let text: String = first.into_iter().chain(rest).collect();
    if text.ends_with('.') { text } else { text + "." }
}
