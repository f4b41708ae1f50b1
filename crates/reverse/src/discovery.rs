//! Finds the endpoints of an upstream at run time: by name (A, AAAA), by service (SRV), or in a watched file.
//!
//! One task a source, on one shard. A source that cannot be asked, or says that there is nobody, changes nothing: the last
//! endpoints stay until it names others, since a name server that is down must not take the site with it. Whether they
//! answer is for health checks to find out. What is where: [`mod@file`] the file's format, [`dns`] answers into endpoints. Not
//! here: the look-ups (`net/resolver`), what an operator adds by hand (`upstream/change.rs`).

pub mod dns;
pub mod file;

use crate::dice::stable_hash;
use crate::upstream::{EndpointSpec, Scheme, Source, Upstream};
use file::Watch;
use shoalway_net::resolver::{ResolveError, Resolver};
use shoalway_net::shard::Shard;
use shoalway_net::tasks::TaskGroup;
use shoalway_types::{DomainName, Failure};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// Where endpoints are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finder {
    /// All addresses of a name, with one port. The resolver's cache keeps to the TTL.
    Name {
        /// The name.
        name: DomainName,
        /// The port of all of them.
        port: u16,
        /// How they are spoken to.
        scheme: Scheme,
    },
    /// The places of a service, RFC 2782, with their ports, priorities and weights. Asked again after the TTL.
    Service {
        /// The name, such as `_http._tcp.app.example`.
        name: DomainName,
        /// How they are spoken to.
        scheme: Scheme,
    },
    /// The lines of a file.
    File {
        /// The file. Replace it by renaming another over it: a file being written is read when it has settled.
        path: PathBuf,
        /// How lines without a scheme are spoken to.
        scheme: Scheme,
    },
}

/// How often sources are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between look-ups of a name, and after one of a service has failed. Within its TTL the answer comes from the
    /// resolver's cache. Default 5 s.
    pub name: Duration,
    /// Between looks at a file. Default 1 s.
    pub file: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { name: Duration::from_secs(5), file: Duration::from_secs(1) }
    }
}

impl Finder {
    /// Its identity over reloads.
    #[must_use]
    pub fn source(&self) -> Source {
        let (kind, scheme) = match self {
            Self::Name { port, scheme, .. } => (format!("name:{port}"), scheme),
            Self::Service { scheme, .. } => ("service".to_owned(), scheme),
            Self::File { scheme, .. } => ("file".to_owned(), scheme),
        };
        let mut text = format!("{kind}:{}:", scheme.word()).into_bytes();
        match self {
            Self::Name { name, .. } | Self::Service { name, .. } => text.extend(name.as_str().as_bytes()),
            Self::File { path, .. } => text.extend(path.as_os_str().as_encoded_bytes()),
        }
        Source(stable_hash(&text))
    }
}

/// The discovery of one upstream. It ends when this is dropped; what it found stays.
pub struct Discovery {
    tasks: TaskGroup,
    _stop: watch::Sender<()>,
}

impl Discovery {
    /// Begins to find endpoints for `upstream` on this shard, as its configuration says.
    #[must_use = "dropped at once nothing is found"]
    pub fn start(upstream: &Arc<Upstream>, pace: Pace, resolver: &Resolver, shard: &Rc<Shard>) -> Self {
        let tasks = TaskGroup::new("discovery");
        let (stop, _) = watch::channel(());
        for finder in upstream.config().finders.iter().cloned() {
            let search = Search {
                upstream: Arc::clone(upstream),
                source: finder.source(),
                finder,
                pace,
                resolver: resolver.clone(),
                shard: Rc::clone(shard),
                found: Vec::new(),
                trouble: None,
            };
            let mut stopped = stop.subscribe();
            tasks.spawn(async move {
                tokio::select! {
                    // Nothing is ever sent: this is the end of whoever holds the other side.
                    _ = stopped.changed() => {}
                    () = search.run() => {}
                }
            });
        }
        Self { tasks, _stop: stop }
    }

    /// Sources that are being asked.
    #[must_use]
    pub fn running(&self) -> usize {
        self.tasks.alive()
    }
}

/// One source of one upstream.
struct Search {
    upstream: Arc<Upstream>,
    source: Source,
    finder: Finder,
    pace: Pace,
    resolver: Resolver,
    shard: Rc<Shard>,
    found: Vec<EndpointSpec>,
    /// What was told about last, so that it is told once.
    trouble: Option<&'static str>,
}

impl Search {
    async fn run(mut self) {
        let mut watch = Watch::default();
        loop {
            let pause = match self.finder.clone() {
                Finder::Name { name, port, scheme } => {
                    let answer = self.resolver.look_up(&name).await;
                    self.take(answer.map(|answer| dns::of_answer(&answer, port, scheme)));
                    self.pace.name
                }
                Finder::Service { name, scheme } => {
                    let (found, pause) = match self.service(&name, scheme).await {
                        Ok((found, ttl)) => (Ok(found), ttl),
                        Err(error) => (Err(error), self.pace.name),
                    };
                    self.take(found);
                    pause
                }
                Finder::File { path, scheme } => {
                    // A full queue of slow work is no news of the file: it is looked at again in a second.
                    let blocking = self.shard.blocking().clone();
                    if let Ok((looked, after)) = blocking.run(move || watch.looked_at(&path, scheme)).await {
                        watch = after;
                        if let Some(read) = looked {
                            self.take(read);
                        }
                    } else {
                        watch = Watch::default();
                    }
                    self.pace.file
                }
            };
            sleep(pause).await;
        }
    }

    /// The places of a service with the addresses of their names. A name without addresses is left out while another has
    /// some.
    async fn service(
        &self,
        name: &DomainName,
        scheme: Scheme,
    ) -> Result<(Vec<EndpointSpec>, Duration), ResolveError> {
        let services = self.resolver.look_up_srv(name).await?;
        let ranks = dns::ranks(&services.list);
        let (mut found, mut trouble) = (Vec::new(), None);
        for service in &services.list {
            let Some(host) = service.target.host.name().and_then(|name| DomainName::parse(name).ok()) else {
                continue;
            };
            match self.resolver.look_up(&host).await {
                Ok(answer) => found.extend(dns::of_service(service, &ranks, &answer, scheme)),
                Err(error) => trouble = Some(error),
            }
        }
        match trouble {
            Some(error) if found.is_empty() => Err(error),
            Some(_) | None => Ok((found, services.ttl)),
        }
    }

    fn take<E: Trouble>(&mut self, found: Result<Vec<EndpointSpec>, E>) {
        match found {
            Ok(mut found) => {
                self.trouble = None;
                found.sort_by(|a, b| a.key.cmp(&b.key));
                if found == self.found || found.is_empty() {
                    return;
                }
                self.found.clone_from(&found);
                self.upstream.discovered(self.source, found, self.upstream.moment(Instant::now()));
            }
            Err(error) => self.tell(&error),
        }
    }

    fn tell(&mut self, error: &impl Trouble) {
        let why = error.word();
        if self.trouble.replace(why) != Some(why) {
            let upstream: &str = &self.upstream.config().name;
            let (source, line) = (self.source.0, error.line());
            tracing::warn!(
                upstream,
                source,
                why,
                line,
                "discovery found nothing new; the last endpoints stay"
            );
        }
    }
}

/// Why a source gave nothing, as it is told.
trait Trouble {
    fn word(&self) -> &'static str;

    fn line(&self) -> Option<usize> {
        None
    }
}

impl Trouble for ResolveError {
    fn word(&self) -> &'static str {
        Failure::word(self)
    }
}

impl Trouble for file::FileError {
    fn word(&self) -> &'static str {
        Self::word(self)
    }

    fn line(&self) -> Option<usize> {
        Self::line(self)
    }
}

#[cfg(test)]
mod tests;
