//! Sends spans to a collector: OTLP 1.x over HTTP, in its JSON form.
//!
//! ```text
//! shards (reverse/trace) -> bounded queue -> batch: 512 requests or 2 s -> POST -> counted: exported or failed
//! ```
//! A batch that is not taken is not sent again: spans are a sample anyway. One warning tells of a collector that does not
//! answer, another message that it does again. What of it is written is `json.rs`, the request `post.rs`. Not here: which
//! requests are sampled.

mod json;
mod post;

use crate::config::file::LogPrivacy;
use crate::config::settings::TraceSettings;
use json::Writer;
use post::Collector;
use shoalway_net::resolver::Resolver;
use shoalway_net::tls::TlsConfigError;
use shoalway_reverse::trace::{RequestSpan, SpanCounters};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, timeout_at};

/// Requests of one batch.
const BATCH: usize = 512;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(2);

/// Sends what it takes from a queue.
pub struct Exporter {
    collector: Collector,
    writer: Writer,
    counters: Arc<SpanCounters>,
    /// The collector took the last batch.
    well: bool,
}

impl Exporter {
    /// Reads the system's certificates when the collector's URL is `https`.
    ///
    /// # Errors
    /// When these cannot be read.
    pub fn new(
        settings: &TraceSettings,
        privacy: LogPrivacy,
        resolver: Resolver,
        counters: Arc<SpanCounters>,
    ) -> Result<Self, TlsConfigError> {
        let collector = Collector::new(&settings.collector, resolver)?;
        let writer = Writer { service: settings.service.clone(), privacy };
        Ok(Self { collector, writer, counters, well: true })
    }

    /// Sends until no shard has the other end of the queue any more.
    pub async fn run(mut self, mut spans: Receiver<RequestSpan>) {
        let mut batch = Vec::new();
        while let Some(first) = spans.recv().await {
            batch.push(first);
            let until = Instant::now() + GATHER;
            while batch.len() < BATCH {
                match timeout_at(until, spans.recv()).await {
                    Ok(Some(span)) => batch.push(span),
                    Ok(None) | Err(_) => break,
                }
            }
            self.send(&batch).await;
            batch.clear();
        }
    }

    async fn send(&mut self, batch: &[RequestSpan]) {
        let count: u64 = batch.iter().map(|span| 1 + span.tries.len() as u64).sum();
        match Box::pin(self.collector.post(self.writer.write(batch))).await {
            Ok(()) => {
                self.counters.exported.fetch_add(count, Relaxed);
                if !self.well {
                    tracing::info!("the collector of traces takes spans again");
                }
                self.well = true;
            }
            Err(error) => {
                self.counters.failed.fetch_add(count, Relaxed);
                if self.well {
                    tracing::warn!(%error, "the collector of traces takes no spans: they are lost meanwhile");
                }
                self.well = false;
            }
        }
    }
}
