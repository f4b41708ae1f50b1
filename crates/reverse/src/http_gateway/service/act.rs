//! Does what a route says.

use super::SiteService;
use crate::attempt::{Deadlines, Refused, Wanted};
use crate::balance::{PickKey, StickyId};
use crate::breaker::{Bound, Open};
use crate::dice::stable_hash;
use crate::files::{FileWay, FilesRoot, Found};
use crate::http_gateway::backends::BackendOnShard;
use crate::http_gateway::{RouteOnShard, answers};
use crate::line::LineConfig;
use crate::routes::{Redirect, Route, Then, ToUpstream, see};
use crate::site_plan::Key;
use crate::stream_plan::ProxyOut;
use crate::upstream::Upstream;
use shoalway_http::answer::Answer;
use shoalway_http::level;
use shoalway_http::service::Next;
use shoalway_net::clock;
use shoalway_net::connect::LocalFuture;
use shoalway_net::shard::Shard;
use shoalway_wire::http1::compose::RequestLine;
use shoalway_wire::http1::framing::BodyLength;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::Instant;

impl SiteService {
    pub(super) fn act(
        &mut self,
        shard: &Rc<Shard>,
        request: RequestView<'_>,
        route: &Rc<RouteOnShard>,
        authority: &str,
        target: &[u8],
    ) -> Next {
        // Who has waited in line was let in before.
        if self.in_line.is_none()
            && let Some((answer, outcome)) = self.refusal(request, &route.route)
        {
            return self.answer(answer, outcome);
        }
        match (&route.route.then, &route.backend) {
            (Then::Upstream(to), Some(backend)) => self.send(shard, request, to, backend),
            (Then::Redirect(redirect), _) => self.redirect(redirect, &route.route, authority, target),
            (Then::Files(root), _) => self.look_for_file(shard, request, root, &route.route, target),
            (Then::Answer(fixed), _) => {
                let answer = answers::edited(answers::fixed(fixed, Some(request)), &route.route.response);
                self.answer(answer, "ok")
            }
            // A route to an upstream has its worker, made with it.
            (Then::Upstream(_), None) => self.answer(Answer::empty(500), "no_backend"),
        }
    }

    /// What the route does not let in.
    fn refusal(&self, request: RequestView<'_>, route: &Route) -> Option<(Answer, &'static str)> {
        if let Some(allow) = &route.allow
            && !allow.contains(request)
        {
            return Some((answers::not_allowed(&allow.allow()), "not_allowed"));
        }
        if let Some(rate) = &route.rate
            && let Err(wait) = rate.admit(self.client, since_start())
        {
            return Some((answers::too_often(wait), "too_often"));
        }
        match request.body() {
            BodyLength::Length(octets) if octets > route.max_content => {
                Some((answers::too_large(), "content_too_large"))
            }
            BodyLength::None | BodyLength::Length(_) | BodyLength::Chunked | BodyLength::UntilClose => None,
        }
    }

    fn send(
        &mut self,
        shard: &Rc<Shard>,
        request: RequestView<'_>,
        to: &ToUpstream,
        backend: &Rc<BackendOnShard>,
    ) -> Next {
        if to.backend.proxy_out != ProxyOut::Off {
            self.attempt.tell(self.arrival.told(shard));
        }
        let key = self.pick_key(request, to);
        self.learned.choice.sticky = key.sticky;
        let deadlines = Deadlines { total: to.total, per_try: to.per_try };
        let wanted = Wanted {
            key,
            idempotent: request.method().is_idempotent(),
            upgrade: to.upgrade && level::passes_upgrade(request),
            deadlines,
        };
        let line = to.backend.line;
        let behind =
            line.is_some() && self.in_line.is_none() && !backend.upstream().breaker().line().is_empty();
        let begun = if behind {
            Err(Refused::Breaker(Open(Bound::Requests)))
        } else {
            self.attempt.begin(shard, backend, wanted)
        };
        let begun = match (begun, line) {
            (Err(Refused::Breaker(Open(Bound::Requests | Bound::Connections))), Some(line)) => {
                match self.wait_in_line(backend.upstream(), line) {
                    Ok(waiting) => return Next::Wait(waiting),
                    Err(refused) => Err(refused),
                }
            }
            (begun, _) => begun,
        };
        match begun {
            Ok(way) => {
                Next::Upstream { upstream: way.upstream, connect: way.connect, line: RequestLine::Origin }
            }
            Err(refused) => {
                let answer = match (&to.backend.fixed, refused) {
                    (Some(fixed), Refused::NobodyLeft) => answers::fixed(fixed, Some(request)),
                    (Some(_) | None, _) => answers::refused(refused, to.backend.retry_after),
                };
                self.answer(answer, refused.word())
            }
        }
    }

    /// Waits for room, when there may be so many who wait and this one not for too long.
    fn wait_in_line(
        &mut self,
        upstream: &Upstream,
        line: LineConfig,
    ) -> Result<LocalFuture<'static, ()>, Refused> {
        let now = clock::now();
        if self.in_line.is_some_and(|until| now >= until) {
            return Err(Refused::Late);
        }
        let pending = upstream.enter(Bound::Pending).map_err(Refused::Breaker)?;
        let (mut place, limit) = upstream.wait_in_line(line, upstream.moment(now));
        let until = *self.in_line.get_or_insert(now + limit);
        Ok(Box::pin(async move {
            let _pending = pending;
            // Called or late: the next decision sees which.
            tokio::time::timeout_at(until, place.called()).await.unwrap_or_default();
        }))
    }

    fn pick_key(&self, request: RequestView<'_>, to: &ToUpstream) -> PickKey {
        let hash = match &to.backend.key {
            Key::Chance => None,
            Key::Client => Some(match self.client {
                IpAddr::V4(ip) => stable_hash(&ip.octets()),
                IpAddr::V6(ip) => stable_hash(&ip.octets()),
            }),
            Key::Field(name) => name.value(request).map(stable_hash),
            Key::Cookie(name) => cookie(request, name).map(stable_hash),
            Key::Uri => Some(stable_hash(request.raw_target())),
        };
        let sticky = to.backend.sticky.as_ref().and_then(|sticky| cookie(request, &sticky.name));
        PickKey { random: self.gateway().dice.roll(), hash, sticky: sticky.and_then(StickyId::parse) }
    }

    fn redirect(&mut self, redirect: &Redirect, route: &Route, authority: &str, target: &[u8]) -> Next {
        let mut scratch = self.take_scratch();
        let mut location = Vec::new();
        if let Ok(seen) = see(target, &mut scratch) {
            redirect.location(&seen, authority.as_bytes(), &route.path, &mut location);
        }
        self.scratch = scratch;
        let location = percent_encoded(&location);
        let answer = Answer::empty(redirect.status().code()).field("Location", &location);
        self.answer(answers::edited(answer, &route.response), "ok")
    }

    fn look_for_file(
        &mut self,
        shard: &Rc<Shard>,
        request: RequestView<'_>,
        root: &Arc<FilesRoot>,
        route: &Route,
        target: &[u8],
    ) -> Next {
        if !matches!(request.method(), Method::Get | Method::Head) {
            return self.answer(answers::not_allowed("GET, HEAD"), "not_allowed");
        }
        let now = UNIX_EPOCH + Duration::from_millis(clock::wall_ms());
        let mut scratch = self.take_scratch();
        let asked = see(target, &mut scratch).map(|seen| {
            let below = if route.path.has_tail() { route.path.captures(seen.path).last() } else { seen.path };
            root.asked(request, below, seen.path, seen.query, now)
        });
        self.scratch = scratch;
        let asked = match asked {
            Ok(asked) => asked,
            Err(bad) => return self.answer(answers::bad_path(bad), bad.word()),
        };
        let (shard, found) = (Rc::clone(shard), Rc::clone(&self.found));
        Next::Wait(Box::pin(async move {
            let answer = shard.blocking().run(move || asked.find()).await;
            *found.borrow_mut() = Some(answer.unwrap_or_else(|_busy| Found::Answer(Answer::busy(1))));
        }))
    }

    /// What was found for the current request.
    pub(super) fn serve_file(&mut self, shard: &Rc<Shard>, found: Found) -> Next {
        match found {
            Found::Answer(answer) => {
                let edits = self.route.as_ref().map_or(&[][..], |route| &route.route.response);
                let answer = answers::edited(answer, edits);
                self.answer(answer, "ok")
            }
            Found::Part(part) => Next::Upstream {
                upstream: Rc::clone(&self.gateway().files),
                connect: FileWay::new(shard, part),
                line: RequestLine::Origin,
            },
        }
    }
}

/// The value of the first cookie of this name: RFC 6265 section 4.2.1.
fn cookie<'a>(request: RequestView<'a>, name: &str) -> Option<&'a [u8]> {
    if !request.has(Known::Cookie) {
        return None;
    }
    let pairs = request.get_all(Known::Cookie).flat_map(|field| field.value.split(|byte| *byte == b';'));
    pairs.into_iter().find_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

/// A Location is ASCII: what is not was sent so and means the same.
fn percent_encoded(location: &[u8]) -> String {
    let mut text = String::with_capacity(location.len());
    for byte in location {
        match byte {
            b'!'..=b'~' => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// How long this process has run: what rates are counted by.
fn since_start() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    clock::now().saturating_duration_since(*START)
}
