//! Routes of a site: the first one that a request fits says what becomes of it.
//!
//! What is where: [`Hosts`] finds the site, [`PathPattern`] and [`When`] the route; `path.rs` says how paths are read
//! before they are compared, [`Redirect`] and [`Rewrite`] what is made of them, [`FieldEdit`] what changes in fields. All
//! of it is pure. Not here: carrying a route out (`http_gateway.rs`), files (`files.rs`).

mod edits;
mod hosts;
mod path;
mod pattern;
mod rewrite;
mod when;

pub use edits::FieldEdit;
pub use hosts::{HostPattern, Hosts, host_of};
pub use path::{BadPath, Scratch, Seen, see};
pub use pattern::{Captures, MAX_CAPTURES, PathPattern, PatternError};
pub use rewrite::{Filling, Redirect, RedirectStatus, Rewrite, Template, TemplateError};
pub use when::{FieldName, FieldTest, MethodSet, NotAName, Test, When};

use crate::compress::Compression;
use crate::files::FilesRoot;
use crate::site_plan::Backend;
use shoalway_policy::RateTable;
use std::sync::Arc;
use std::time::Duration;

/// One route.
#[derive(Clone)]
pub struct Route {
    /// Which paths it is for.
    pub path: PathPattern,
    /// What else it asks of a request.
    pub when: When,
    /// What becomes of a request.
    pub then: Then,
    /// Methods that are let in; others are answered with 405 and Allow. Default: all.
    pub allow: Option<MethodSet>,
    /// Octets of content that a request may have; more is answered with 413. Default: any number.
    pub max_content: u64,
    /// How often one client network may ask; over that the answer is 429. Default: as often as it likes.
    pub rate: Option<Arc<RateTable>>,
    /// Edits of a request's fields, for [`Then::Upstream`].
    pub request: Vec<FieldEdit>,
    /// Edits of an answer's fields.
    pub response: Vec<FieldEdit>,
}

impl Route {
    /// A route of this path without any of the rest.
    #[must_use]
    pub const fn new(path: PathPattern, then: Then) -> Self {
        Self {
            path,
            when: When { hosts: Vec::new(), methods: None, fields: Vec::new() },
            then,
            allow: None,
            max_content: u64::MAX,
            rate: None,
            request: Vec::new(),
            response: Vec::new(),
        }
    }

    /// Whether the choice depends on more than host, method and path.
    #[must_use]
    pub const fn asks_for_fields(&self) -> bool {
        !self.when.fields.is_empty()
    }
}

/// What becomes of a request.
#[derive(Clone)]
pub enum Then {
    /// It goes to an upstream.
    Upstream(Arc<ToUpstream>),
    /// It is sent elsewhere.
    Redirect(Redirect),
    /// It is answered with a file.
    Files(Arc<FilesRoot>),
    /// It is answered with always the same.
    Answer(Arc<FixedAnswer>),
}

impl Then {
    /// Its word in the log.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Upstream(_) => "upstream",
            Self::Redirect(_) => "redirect",
            Self::Files(_) => "files",
            Self::Answer(_) => "answer",
        }
    }
}

/// How requests go to an upstream.
#[derive(Clone)]
pub struct ToUpstream {
    /// Which.
    pub backend: Arc<Backend>,
    /// What becomes of the path.
    pub rewrite: Rewrite,
    /// What stands in Host.
    pub host: HostPolicy,
    /// Whether a change to WebSocket is passed on. Default: yes.
    pub upgrade: bool,
    /// From the request to the beginning of its answer, all tries together. Default: only each wait has a limit.
    pub total: Option<Duration>,
    /// The same for one try. Default: the listener's limits.
    pub per_try: Option<Duration>,
    /// What of the answers is compressed on its way. Default: nothing.
    pub compress: Option<Arc<Compression>>,
}

impl ToUpstream {
    /// Requests go on as they came.
    #[must_use]
    pub const fn new(backend: Arc<Backend>) -> Self {
        Self {
            backend,
            rewrite: Rewrite::None,
            host: HostPolicy::Keep,
            upgrade: true,
            total: None,
            per_try: None,
            compress: None,
        }
    }
}

/// What stands in Host towards an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// What the client sent. The default.
    #[default]
    Keep,
    /// This.
    Set(Box<str>),
}

/// An answer that is always the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedAnswer {
    /// 200 to 599.
    pub status: u16,
    /// The value of Content-Type.
    pub content_type: Box<str>,
    /// The content.
    pub body: Vec<u8>,
    /// The same in the codings that make it shorter; see [`FixedAnswer::compressed`].
    coded: Vec<(crate::compress::Coding, Vec<u8>)>,
}

impl FixedAnswer {
    /// An answer that leaves as it is.
    #[must_use]
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: content_type.into(), body: body.into(), coded: Vec::new() }
    }

    /// The same answer, compressed beforehand for clients that take it so.
    #[must_use]
    pub fn compressed(mut self) -> Self {
        if crate::compress::is_worth_it(&self.content_type, self.body.len()) {
            let codings = crate::compress::Coding::ALL.into_iter();
            self.coded = codings.filter_map(|coding| Some((coding, coding.compress(&self.body)?))).collect();
        }
        self
    }

    /// The codings there are.
    pub fn coded(&self) -> impl Iterator<Item = (crate::compress::Coding, &[u8])> {
        self.coded.iter().map(|(coding, body)| (*coding, body.as_slice()))
    }
}
