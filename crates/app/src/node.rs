//! This program as a node of the overlay, and as its client: what outlives a reload that does not concern it.
//!
//! [`NodePart`] and [`OverlayPart`] are made by the wiring and hold everything of one part; [`Tending`] holds the tasks of
//! the control thread that go with them. Not here: the site before a node and the ways of the forward proxy (`wiring`),
//! what is shown of them (`shown`).

pub mod monthly;
pub mod shown;

use monthly::Monthly;
use shoalway_http::h2::claim::Claim;
use shoalway_net::shard::Shard;
use shoalway_overlay::client::Overlay;
use shoalway_overlay::client::home::Home;
use shoalway_overlay::directory::Library;
use shoalway_overlay::directory::publish::Publisher;
use shoalway_overlay::directory::refresh::Refresh;
use shoalway_overlay::directory::shelf::Shelf;
use shoalway_overlay::exit::ExitPlan;
use shoalway_overlay::keys::life::NodeLife;
use shoalway_overlay::node::NodePlan;
use shoalway_overlay::time;
use std::rc::Rc;
use std::sync::Arc;
use tokio::task::JoinSet;

/// The remote part.
pub struct NodePart {
    /// Name of its site.
    pub site: String,
    /// Whether its network is a lab.
    pub lab: bool,
    /// Its keys.
    pub life: Arc<NodeLife>,
    /// What its shards share.
    pub plan: Arc<NodePlan>,
    /// What its site asks of each request.
    pub door: Arc<dyn Claim>,
    /// What it knows of the network, and where that is kept.
    pub library: Arc<Library>,
    /// The folder of it.
    pub shelf: Arc<Shelf>,
    /// It publishes.
    pub publisher: Option<Arc<Publisher>>,
    /// It fetches.
    pub refresh: Option<Arc<Refresh>>,
    /// It is an exit.
    pub exit: Option<Arc<ExitPlan>>,
    /// What the exit may carry.
    pub monthly: Option<Arc<Monthly>>,
}

/// The local part.
pub struct OverlayPart {
    /// The client.
    pub overlay: Overlay,
    /// What it knows of the network, and where that is kept.
    pub library: Arc<Library>,
    /// The folder of it.
    pub shelf: Arc<Shelf>,
}

/// Both parts, as far as there are any.
#[derive(Clone, Default)]
pub struct Overlaid {
    /// The remote part.
    pub node: Option<Arc<NodePart>>,
    /// The local part.
    pub overlay: Option<Arc<OverlayPart>>,
}

impl Overlaid {
    /// Begins what runs on a shard; what runs already goes on.
    pub fn start(&self, shard: &Rc<Shard>) {
        if let Some(overlay) =
            self.overlay.as_ref().filter(|one| one.overlay.shared().plan.home == shard.id())
        {
            Home::start(shard, overlay.overlay.shared());
        }
        if let Some(refresh) = self.node.as_ref().and_then(|node| node.refresh.as_ref())
            && shard.id() == 0
        {
            refresh.start(shard);
        }
    }

    /// Whether both parts are the same as others.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let node = match (&self.node, &other.node) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        let overlay = match (&self.overlay, &other.overlay) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        node && overlay
    }

    /// Takes up gates that `shoalway share` has changed.
    pub fn look_at_gates(&self) {
        let Some(node) = &self.node else { return };
        match node.life.look_at_gates(time::unix_now()) {
            Ok(false) => {}
            Ok(true) => tracing::info!("the node's gates have changed"),
            Err(error) => tracing::warn!(%error, "the node's gates were not read again"),
        }
        if let (Some(monthly), Some(exit)) = (&node.monthly, &node.exit) {
            monthly.look(exit, time::unix_now());
        }
    }
}

/// The tasks of the control thread; they end with this value, or when other parts take the place of theirs.
#[derive(Default)]
pub struct Tending {
    parts: Overlaid,
    tasks: JoinSet<()>,
}

impl Tending {
    /// Tends these parts and no others. Must be called within the control runtime.
    pub fn set(&mut self, parts: &Overlaid) {
        if self.parts.is_same(parts) {
            return;
        }
        self.tasks.abort_all();
        self.parts = parts.clone();
        if let Some(overlay) = &parts.overlay {
            self.tasks.spawn(Arc::clone(&overlay.shelf).keep(Arc::clone(&overlay.library)));
        }
        let Some(node) = &parts.node else { return };
        self.tasks.spawn(Arc::clone(&node.shelf).keep(Arc::clone(&node.library)));
        self.tasks.spawn(Arc::clone(&node.life).run());
        if let Some(publisher) = &node.publisher {
            self.tasks.spawn(tell_itself(Arc::clone(publisher), Arc::clone(&node.life)));
            self.tasks.spawn(Arc::clone(publisher).run());
        }
    }
}

/// The publisher is a node too, and nobody asks it who it is.
async fn tell_itself(publisher: Arc<Publisher>, life: Arc<NodeLife>) {
    let mut published = life.published();
    loop {
        let keys = life.keys();
        let now = keys.load();
        if let Err(why) = publisher.take(now.node, &now.own_entry(), time::unix_now()) {
            tracing::warn!(why, "the directory's own node is not listed");
        }
        drop(now);
        if published.changed().await.is_err() {
            return;
        }
    }
}
