//! Static files: a directory behind a route.
//!
//! GET and HEAD, entity-tags and dates, one range, `index.html` for folders, compression of texts. The file system is
//! asked on the blocking pool; files of up to [`WHOLE`] come back with the answer, larger ones chunk by chunk
//! (`stream.rs`). Names that begin with a dot are not served, except below `.well-known` (RFC 8615). No listings of
//! folders. Not here: paths (`routes`), the way out of the directory that there is none (`open.rs`).

mod conditions;
mod open;
mod stream;
mod types;

pub(crate) use stream::{FilePart, FileWay};

use crate::compress::{self, Coding};
use conditions::{Conditions, Verdict, whole_seconds};
use open::{NoFile, open};
use shoalway_http::answer::Answer;
use shoalway_wire::http1::known::Known;
use shoalway_wire::http1::method::Method;
use shoalway_wire::http1::request::RequestView;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Files up to this length are read at once.
pub const WHOLE: u64 = 1 << 20;

/// A directory whose files are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilesRoot {
    /// The directory; opened anew for each request, so it may be replaced.
    pub dir: PathBuf,
    /// What stands for a folder. Default `index.html`.
    pub index: Box<str>,
    /// Whether names that begin with a dot are served. Default: no.
    pub hidden: bool,
    /// Codings for texts, for clients that take them so, the best first. Default: all.
    pub codings: Box<[Coding]>,
}

impl FilesRoot {
    /// A directory with every default.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), index: "index.html".into(), hidden: false, codings: Coding::ALL.into() }
    }

    /// What a request asks of this directory. `below` is the path below the route, `path` the whole one, both as routes
    /// see them.
    pub(crate) fn asked(
        self: &Arc<Self>,
        request: RequestView<'_>,
        below: &[u8],
        path: &[u8],
        query: &[u8],
        now: SystemTime,
    ) -> Asked {
        Asked {
            root: Arc::clone(self),
            below: below.to_vec(),
            moved: [path, b"/", query].concat(),
            conditions: Conditions::of(request),
            head_only: request.method() == Method::Head,
            coding: self.coding(request),
            now,
        }
    }

    fn coding(&self, request: RequestView<'_>) -> Option<Coding> {
        if !request.has(Known::AcceptEncoding) {
            return None;
        }
        let accept: Vec<&[u8]> = request.get_all(Known::AcceptEncoding).map(|field| field.value).collect();
        compress::choose(&accept, self.codings.iter().copied())
    }
}

/// One request for a file; may go to another thread.
pub(crate) struct Asked {
    root: Arc<FilesRoot>,
    below: Vec<u8>,
    /// Where a folder is that was asked for without its slash.
    moved: Vec<u8>,
    conditions: Conditions,
    head_only: bool,
    coding: Option<Coding>,
    now: SystemTime,
}

/// What was found.
pub(crate) enum Found {
    /// It is all here.
    Answer(Answer),
    /// It is to be read while it is sent.
    Part(FilePart),
}

impl Asked {
    /// Finds the file and reads it, or opens it. Blocking.
    pub(crate) fn find(&self) -> Found {
        match self.open() {
            Ok(Opened::File(file, metadata, name)) => self.answer(file, &metadata, &name),
            Ok(Opened::Folder) => {
                let to = String::from_utf8_lossy(&self.moved);
                Found::Answer(self.dated(Answer::empty(301)).field("Location", &to))
            }
            Err(NoFile::Missing) => Found::Answer(not_found()),
            Err(NoFile::Denied) => {
                Found::Answer(page(403, "http_request_denied", "This file may not be read."))
            }
            Err(NoFile::Failed) => Found::Answer(broken()),
        }
    }

    fn open(&self) -> Result<Opened, NoFile> {
        let segments = self.segments().ok_or(NoFile::Missing)?;
        let wants_folder = self.below.is_empty() || self.below.ends_with(b"/");
        if !wants_folder {
            let file = open(&self.root.dir, &segments)?;
            let metadata = file.metadata().map_err(|_gone| NoFile::Failed)?;
            if metadata.is_dir() {
                return Ok(Opened::Folder);
            }
            let name = segments.last().cloned().unwrap_or_default();
            return regular(file, metadata, name);
        }
        let index = self.root.index.as_bytes().to_vec();
        let segments: Vec<Vec<u8>> = segments.into_iter().chain([index.clone()]).collect();
        let file = open(&self.root.dir, &segments)?;
        let metadata = file.metadata().map_err(|_gone| NoFile::Failed)?;
        regular(file, metadata, index)
    }

    /// The names on the way; `None` where one of them cannot be a file's, or is not served.
    fn segments(&self) -> Option<Vec<Vec<u8>>> {
        let raw = self.below.split(|byte| *byte == b'/').filter(|segment| !segment.is_empty());
        let segments: Vec<Vec<u8>> = raw.map(decode).collect::<Option<_>>()?;
        let hidden = segments
            .iter()
            .enumerate()
            .any(|(at, segment)| segment.starts_with(b".") && !(at == 0 && segment == b".well-known"));
        (self.root.hidden || !hidden).then_some(segments)
    }

    fn answer(&self, file: File, metadata: &Metadata, name: &[u8]) -> Found {
        let content_type = types::content_type(name);
        let length = metadata.len();
        let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
        let texts = !self.root.codings.is_empty()
            && length <= WHOLE
            && compress::is_worth_it(content_type, usize::try_from(length).unwrap_or(usize::MAX));
        let coding = self.coding.filter(|_| texts && !self.conditions.asks_for_part());
        let meta = Meta { content_type, length, modified, coding, texts };
        match self.conditions.decide(&meta.etag(), modified, length) {
            Verdict::Failed => Found::Answer(page(412, "http_request_error", "The file has changed.")),
            Verdict::NotModified => Found::Answer(self.described(Answer::empty(304), &meta)),
            Verdict::Unsatisfiable => {
                let whole = format!("bytes */{length}");
                let answer = page(416, "http_request_error", "The file is not that long.");
                Found::Answer(self.dated(answer.field("Content-Range", &whole)))
            }
            Verdict::Whole if self.head_only || length > WHOLE => {
                Found::Part(self.part(file, 200, Meta { coding: None, ..meta }, (0, length)))
            }
            Verdict::Whole => self.whole(&file, meta),
            Verdict::Part { from, length } => Found::Part(self.part(file, 206, meta, (from, length))),
        }
    }

    fn whole(&self, file: &File, meta: Meta) -> Found {
        let Ok(body) = read_whole(file, meta.length) else { return Found::Answer(broken()) };
        let coded = meta.coding.and_then(|coding| coding.compress(&body));
        let meta = Meta { coding: meta.coding.filter(|_| coded.is_some()), ..meta };
        let answer = Answer::content(200, meta.content_type, coded.unwrap_or(body));
        Found::Answer(self.described(answer, &meta).field("Accept-Ranges", "bytes"))
    }

    /// A part that is read while it is sent; with HEAD nothing of it.
    fn part(&self, file: File, status: u16, meta: Meta, (from, length): (u64, u64)) -> FilePart {
        let mut answer = Answer::content(status, meta.content_type, Vec::new());
        answer = self.described(answer, &meta).field("Accept-Ranges", "bytes");
        if status == 206 {
            let last = from + length.saturating_sub(1);
            answer = answer.field("Content-Range", &format!("bytes {from}-{last}/{}", meta.length));
        }
        let mut head = Vec::with_capacity(512);
        answer.write_head(&mut head, length);
        FilePart { head, file, from, length: if self.head_only { 0 } else { length } }
    }

    fn described(&self, answer: Answer, meta: &Meta) -> Answer {
        let modified = httpdate::fmt_http_date(whole_seconds(meta.modified));
        let mut answer = self.dated(answer).field("ETag", &meta.etag()).field("Last-Modified", &modified);
        if meta.texts {
            answer = answer.field("Vary", "Accept-Encoding");
        }
        match meta.coding {
            Some(coding) if answer.status() == 200 => answer.field("Content-Encoding", coding.word()),
            Some(_) | None => answer,
        }
    }

    /// RFC 9110 section 6.6.1: who makes an answer says when.
    fn dated(&self, answer: Answer) -> Answer {
        answer.field("Date", &httpdate::fmt_http_date(self.now))
    }
}

enum Opened {
    File(File, Box<Metadata>, Vec<u8>),
    /// A folder, asked for by a name without slash: relative links in its index would go wrong.
    Folder,
}

fn regular(file: File, metadata: Metadata, name: Vec<u8>) -> Result<Opened, NoFile> {
    if metadata.is_file() { Ok(Opened::File(file, Box::new(metadata), name)) } else { Err(NoFile::Missing) }
}

/// What the answer says of the file.
#[derive(Clone, Copy)]
struct Meta {
    content_type: &'static str,
    length: u64,
    modified: SystemTime,
    coding: Option<Coding>,
    /// Another client may get it in another coding.
    texts: bool,
}

impl Meta {
    /// Strong: another one for each change that moves the clock or the length, and for each coding.
    fn etag(&self) -> String {
        let nanos = self.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        match self.coding {
            None => format!("\"{nanos:x}-{:x}\"", self.length),
            Some(coding) => format!("\"{nanos:x}-{:x}-{}\"", self.length, coding.word()),
        }
    }
}

fn read_whole(file: &File, length: u64) -> io::Result<Vec<u8>> {
    let mut body = vec![0; usize::try_from(length).unwrap_or_default()];
    file.read_exact_at(&mut body, 0)?;
    Ok(body)
}

/// A segment as the file system has it; `None` where it holds an encoded slash or NUL.
fn decode(segment: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(segment.len());
    let mut rest = segment;
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        if *byte != b'%' {
            name.push(*byte);
            continue;
        }
        let [high, low, behind @ ..] = rest else { return None };
        rest = behind;
        let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        name.push(digit(high)? << 4 | digit(low)?);
    }
    let is_name = !name.contains(&0) && !name.contains(&b'/') && name != b"." && name != b"..";
    is_name.then_some(name)
}

fn not_found() -> Answer {
    page(404, "http_request_error", "There is no such file.")
}

fn broken() -> Answer {
    page(500, "proxy_internal_error", "The file cannot be read now.")
}

fn page(status: u16, word: &str, sentence: &str) -> Answer {
    Answer::error(status, word, "", sentence)
}
