//! Which spans are sent where: one task at a time, and a sampler on every shard.
//!
//! What changes nothing at a reload goes on as it is. Not here: sampling (`reverse/trace`), sending (`otlp`).

use crate::config::file::LogPrivacy;
use crate::config::settings::TraceSettings;
use crate::otlp::Exporter;
use shoalway_net::fleet::Fleet;
use shoalway_net::resolver::Resolver;
use shoalway_reverse::trace::{SpanCounters, SpanSink, Tracer, Tracing};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Sends spans, or nothing.
#[derive(Default)]
pub struct Exporting {
    wanted: Option<(TraceSettings, LogPrivacy)>,
    task: JoinSet<()>,
}

impl Exporting {
    /// Samples and sends so from now on. What the task before still held is lost with it. Must be called within the control
    /// runtime.
    pub async fn set(
        &mut self,
        wanted: Option<(TraceSettings, LogPrivacy)>,
        resolver: &Resolver,
        counters: &Arc<SpanCounters>,
        fleet: &Fleet,
    ) {
        if wanted == self.wanted {
            return;
        }
        self.task.abort_all();
        let tracing = wanted.as_ref().and_then(|(settings, privacy)| {
            let exporter = Exporter::new(settings, *privacy, resolver.clone(), Arc::clone(counters));
            let exporter = exporter.inspect_err(|error| tracing::error!(%error, "no spans are sent")).ok()?;
            let (sink, spans) = SpanSink::new(Arc::clone(counters));
            self.task.spawn(exporter.run(spans));
            Some(Tracing { per_million: settings.per_million, follow: settings.follow, sink })
        });
        for shard in 0..fleet.len() {
            let tracing = tracing.clone();
            // A shard that is gone samples nothing.
            let set = fleet.ask(shard, move |shard| shard.local(Tracer::default).set(tracing));
            set.await.unwrap_or_default();
        }
        self.wanted = wanted;
    }
}
