//! Links that come in by the door: clients, their sessions after a cut, other nodes (sections 4, 9).
//!
//! A session lives on the shard where it began; a stream that goes on with it is moved there. What a session is known by
//! is random and kept in memory alone. Not here: the door (`link/accept`), circuits (`hop`).

use super::hop::Asker;
use super::{Node, NodePlan};
use crate::chance;
use crate::link::accept::Arrival;
use crate::link::handle::Afterwards;
use crate::link::{LinkHandle, LinkOwner, Parting, driver};
use crate::time;
use bytes::Bytes;
use shoalway_net::deadline::Wait;
use shoalway_net::fleet::Message;
use shoalway_net::shard::Shard;
use shoalway_overlay_proto::identity::{Delegation, ed25519};
use shoalway_overlay_proto::link::Link;
use shoalway_overlay_proto::link::dir::DirKind;
use shoalway_overlay_proto::link::terms::{CircId, Code, Kind, LinkConfig, LinkTerms, Role};
use shoalway_overlay_proto::opener::{
    Accept, Asked, LinkKind, LinkSecrets, NodeAuth, ResumeKey, SessionId, VERSION,
};
use shoalway_types::wallet::Address;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a session waits for its client after a cut.
const SESSION_TTL: Duration = Duration::from_secs(60);
/// Sessions of one node at a time.
const MOST_SESSIONS: usize = 65_536;

/// The sessions of a node's clients: where each lives, and what proves that somebody holds it.
#[derive(Default)]
pub struct Sessions(Mutex<HashMap<SessionId, Place>>);

struct Place {
    shard: usize,
    key: ResumeKey,
    /// The one that the latest opener was proven by: its client may not have learned that it was accepted, and then
    /// comes with this one again, however often.
    former: Option<ResumeKey>,
}

impl Sessions {
    fn table(&self) -> MutexGuard<'_, HashMap<SessionId, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an opener may be answered: a new session is unused, an old one is held by who asks. A session that is
    /// not known any more is answered too: its client begins anew.
    #[must_use]
    pub fn takes(&self, asked: &Asked) -> bool {
        let table = self.table();
        let known = table.get(&asked.session);
        match (asked.kind(), &asked.resume) {
            (LinkKind::New, _) => known.is_none() && table.len() < MOST_SESSIONS,
            (LinkKind::Resume, Some(claim)) => {
                let proven = |place: &Place| {
                    claim.is_proven(&place.key)
                        || place.former.as_ref().is_some_and(|key| claim.is_proven(key))
                };
                known.map_or(table.len() < MOST_SESSIONS, proven)
            }
            (LinkKind::Resume, None) => false,
            (LinkKind::Node, _) => true,
        }
    }

    /// A link of this session was let in.
    fn note(&self, asked: &Asked, shard: usize, secrets: &LinkSecrets) {
        let mut table = self.table();
        let former = table.remove(&asked.session).map(|place| match (&asked.resume, place.former) {
            (Some(claim), Some(former)) if claim.is_proven(&former) => former,
            (Some(_) | None, _) => place.key,
        });
        table.insert(asked.session, Place { shard, key: secrets.resume_key().clone(), former });
    }

    fn home(&self, session: SessionId) -> Option<usize> {
        self.table().get(&session).map(|place| place.shard)
    }

    fn forget(&self, session: SessionId) {
        self.table().remove(&session);
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table().is_empty()
    }
}

/// Takes a link that came in on this shard.
pub(super) fn arrive(shard: &Rc<Shard>, plan: &Arc<NodePlan>, arrival: Arrival) {
    match arrival.asked.kind() {
        LinkKind::Node => Node::of(shard, plan).trunk_came(shard, arrival),
        LinkKind::New => Node::of(shard, plan).client_came(shard, arrival),
        LinkKind::Resume => match plan.sessions.home(arrival.asked.session) {
            Some(home) if home != shard.id() => {
                let plan = Arc::clone(plan);
                let work = move |shard: &Rc<Shard>| Node::of(shard, &plan).client_back(shard, arrival);
                // A shard that is too busy loses the link; the client comes again.
                drop(shard.fleet().send(home, Message::Apply(Box::new(work))));
            }
            Some(_) | None => Node::of(shard, plan).client_back(shard, arrival),
        },
    }
}

impl Node {
    /// A client's new session.
    fn client_came(self: &Rc<Self>, shard: &Rc<Shard>, arrival: Arrival) {
        let Arrival { asked, secrets, duplex, carrier, .. } = arrival;
        let mut link = client_link();
        link.accept(accept(&secrets, None), LinkTerms::CLIENT, time::moment());
        let link = LinkHandle::new(link);
        let group = self.enter(&link);
        self.plan().sessions.note(&asked, shard.id(), &secrets);
        let side = Rc::new(ClientSide {
            node: Rc::clone(self),
            session: asked.session,
            group,
            cut: Cell::new(0),
            link: RefCell::new(Some(Rc::clone(&link))),
        });
        self.clients.borrow_mut().insert(asked.session, Rc::clone(&side));
        driver::spawn(shard, &link, side, duplex, carrier);
    }

    /// A client with a session of before, on the shard where that lives.
    fn client_back(self: &Rc<Self>, shard: &Rc<Shard>, arrival: Arrival) {
        let side = self.clients.borrow().get(&arrival.asked.session).map(Rc::clone);
        let (Some(side), Some(claim)) = (side, &arrival.asked.resume) else {
            return self.client_came(shard, arrival);
        };
        let link = side.link.borrow().as_ref().map(Rc::clone);
        let Some(handle) = link else { return self.client_came(shard, arrival) };
        let session = handle.take_session(client_link());
        let mut link = client_link();
        let body = accept(&arrival.secrets, Some(session.received()));
        link.accept(body, LinkTerms::CLIENT, time::moment());
        if link.attach(session, claim.received).is_err() {
            // A count that cannot be: the client is told that everything is gone.
            side.end(&handle);
            return self.client_came(shard, arrival);
        }
        handle.put(link);
        side.cut.set(side.cut.get() + 1);
        self.plan().sessions.note(&arrival.asked, shard.id(), &arrival.secrets);
        driver::spawn(shard, &handle, side, arrival.duplex, arrival.carrier);
    }

    /// Another node's trunk, which has to say who it is.
    fn trunk_came(self: &Rc<Self>, shard: &Rc<Shard>, arrival: Arrival) {
        let Arrival { secrets, duplex, carrier, .. } = arrival;
        let mut link =
            Link::new(LinkConfig::new(Role::Acceptor, Kind::Trunk), time::moment(), &mut chance::rng());
        link.accept(accept(&secrets, None), LinkTerms::TRUNK, time::moment());
        let link = LinkHandle::new(link);
        let group = self.enter(&link);
        let side = TrunkSide { node: Rc::clone(self), who: Cell::new(None), secrets, group };
        driver::spawn(shard, &link, Rc::new(side), duplex, carrier);
    }

    /// Whether a NODE_AUTH is of a node of this network, and which.
    fn known_node(&self, body: &[u8], secrets: &LinkSecrets) -> Option<Address> {
        let auth = NodeAuth::decode(body).ok()?;
        let (keys, now) = (self.plan().keys.load(), time::unix());
        let verified = Delegation::parse(&auth.delegation).ok()?.check(&keys.network, now).ok()?;
        let terms = verified.terms();
        let book = &self.plan().book;
        let directory = book.directory();
        let listed = directory.as_ref().and_then(|directory| directory.lookup(&terms.node, now));
        let newest = listed.is_none_or(|listed| listed.terms.serial <= terms.serial);
        let message = secrets.node_auth_bytes();
        let message = message.get(crate::link::dial::NODE_LABEL.len() + 1..)?;
        let signed = ed25519::verify(&terms.node_key, crate::link::dial::NODE_LABEL, message, &auth.sig);
        (newest && signed.is_ok() && book.admits(&terms.node, now)).then_some(terms.node)
    }
}

fn client_link() -> Link {
    Link::new(LinkConfig::new(Role::Acceptor, Kind::Client), time::moment(), &mut chance::rng())
}

/// ACCEPT, for a new link or one that goes on from a count.
fn accept(secrets: &LinkSecrets, resumed_from: Option<u64>) -> Bytes {
    let terms = match secrets.kind() {
        LinkKind::New | LinkKind::Resume => LinkTerms::CLIENT,
        LinkKind::Node => LinkTerms::TRUNK,
    };
    let accept = Accept {
        version: VERSION,
        resumed: resumed_from.is_some(),
        terms,
        session_ttl: SESSION_TTL,
        received: resumed_from.unwrap_or(0),
    };
    accept.encode(secrets).into()
}

/// A client's link, through its cuts.
pub(super) struct ClientSide {
    node: Rc<Node>,
    session: SessionId,
    group: u32,
    /// How often it went on.
    cut: Cell<u32>,
    /// None when the session is over.
    link: RefCell<Option<Rc<LinkHandle>>>,
}

impl ClientSide {
    fn end(&self, link: &Rc<LinkHandle>) {
        self.forget();
        link.forsake(Code::LinkLost);
    }

    fn forget(&self) {
        self.link.borrow_mut().take();
        self.node.clients.borrow_mut().remove(&self.session);
        self.node.plan().sessions.forget(self.session);
        self.node.leave(self.group);
    }

    /// Ends the session unless its client is back in time.
    fn wait(&self, link: &Rc<LinkHandle>) {
        let Some(shard) = self.node.shard() else { return };
        let deadline = shard.deadline();
        let (node, session, cut) = (Rc::downgrade(&self.node), self.session, self.cut.get());
        let link = Rc::downgrade(link);
        shard.tasks().spawn(async move {
            deadline.after(SESSION_TTL, Wait::Busy);
            std::future::poll_fn(|cx| deadline.poll(cx)).await;
            let (Some(node), Some(link)) = (node.upgrade(), link.upgrade()) else { return };
            let side = node.clients.borrow().get(&session).map(Rc::clone);
            if let Some(side) = side.filter(|side| side.cut.get() == cut) {
                side.end(&link);
            }
        });
    }
}

impl LinkOwner for ClientSide {
    fn create(&self, link: &Rc<LinkHandle>, circ: CircId, body: Bytes) {
        self.node.create(link, circ, &body, Asker { node: None, group: self.group });
    }

    fn node_auth(&self, link: &Rc<LinkHandle>, _body: Bytes) {
        link.end();
    }

    fn dir_get(&self, link: &Rc<LinkHandle>, kind: DirKind, number: u64) {
        self.node.answer(link, kind, number);
    }

    fn dir_data(&self, _link: &Rc<LinkHandle>, _kind: DirKind, _body: Bytes) {}

    fn go_away(&self, _link: &Rc<LinkHandle>, _code: Code, _seconds: u16) {}

    fn parted(&self, link: &Rc<LinkHandle>, why: Parting) -> Afterwards {
        match why {
            Parting::Lost if link.circuits() > 0 => {
                self.wait(link);
                Afterwards::Wait
            }
            Parting::Lost | Parting::Finished | Parting::Fault => {
                self.forget();
                Afterwards::End
            }
        }
    }
}

/// A trunk that another node dialled.
struct TrunkSide {
    node: Rc<Node>,
    who: Cell<Option<Address>>,
    secrets: LinkSecrets,
    group: u32,
}

impl LinkOwner for TrunkSide {
    fn create(&self, link: &Rc<LinkHandle>, circ: CircId, body: Bytes) {
        match self.who.get() {
            Some(node) => {
                self.node.create(link, circ, &body, Asker { node: Some(node), group: self.group });
            }
            None => link.end(),
        }
    }

    fn node_auth(&self, link: &Rc<LinkHandle>, body: Bytes) {
        match self.node.known_node(&body, &self.secrets) {
            Some(node) => {
                self.who.set(Some(node));
                link.admit();
                if self.node.plan().book.collects() {
                    // A node that is not asked now is asked when it comes again.
                    link.dir_get(DirKind::Own, 0).unwrap_or_default();
                }
            }
            None => link.end(),
        }
    }

    fn dir_get(&self, link: &Rc<LinkHandle>, kind: DirKind, number: u64) {
        self.node.answer(link, kind, number);
    }

    fn dir_data(&self, _link: &Rc<LinkHandle>, kind: DirKind, body: Bytes) {
        if let (Some(node), DirKind::Own) = (self.who.get(), kind) {
            self.node.plan().book.collect(node, body);
        }
    }

    fn go_away(&self, _link: &Rc<LinkHandle>, _code: Code, _seconds: u16) {}

    fn parted(&self, _link: &Rc<LinkHandle>, _why: Parting) -> Afterwards {
        self.node.leave(self.group);
        Afterwards::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoalway_overlay_proto::UnixTime;
    use shoalway_overlay_proto::kdf::Secret;
    use shoalway_overlay_proto::opener::{
        Binding, EntryKey, GateKeeper, LinkKeyPair, OpenerAsk, Purpose, seal_opener,
    };

    /// An entry, and what an opener to it becomes on both sides.
    struct Entry {
        keys: LinkKeyPair,
        gates: GateKeeper,
        to: EntryKey,
    }

    impl Entry {
        fn new() -> Self {
            let keys = LinkKeyPair::from_secret(&Secret::from([1; 32])).unwrap();
            let mut gates = GateKeeper::new(&mut chance::rng());
            let (gate, node) = (Secret::from([2; 32]), Address([3; 20]));
            assert!(gates.set(1, gate.clone()));
            let to = EntryKey { network: [4; 32], node, link_key: *keys.public(), gate };
            Self { keys, gates, to }
        }

        fn asked(&self, purpose: Purpose<'_>) -> (Asked, LinkSecrets) {
            let binding = Binding::Exporter([5; 32]);
            let ask = OpenerAsk { purpose, session: SessionId([6; 16]), time: UnixTime(0), token: None };
            let (text, _secrets) = seal_opener(&self.to, &binding, &ask, &mut chance::rng()).unwrap();
            let gated = self.gates.admit(text.as_bytes(), &binding).unwrap();
            gated.open(&self.keys, &self.to.network, self.to.node).unwrap()
        }

        /// The client comes back with this key; its new one, if it is let in.
        fn resumes(&self, sessions: &Sessions, key: &ResumeKey) -> Option<ResumeKey> {
            let (asked, secrets) = self.asked(Purpose::Resume { key, received: 7 });
            sessions.takes(&asked).then(|| {
                sessions.note(&asked, 0, &secrets);
                secrets.resume_key().clone()
            })
        }
    }

    #[test]
    fn a_client_that_never_learns_that_it_was_let_in_comes_back_with_the_key_it_has() {
        let (entry, sessions) = (Entry::new(), Sessions::default());
        let (asked, secrets) = entry.asked(Purpose::New);
        assert!(sessions.takes(&asked));
        sessions.note(&asked, 0, &secrets);
        let first = secrets.resume_key().clone();
        // Each ACCEPT is lost.
        for _ in 0..5 {
            assert!(entry.resumes(&sessions, &first).is_some());
        }
        // One arrives: from the next time on the first key is worth nothing.
        let second = entry.resumes(&sessions, &first).unwrap();
        let third = entry.resumes(&sessions, &second).unwrap();
        assert_eq!(entry.resumes(&sessions, &first), None);
        assert!(entry.resumes(&sessions, &second).is_some(), "the third may have been lost");
        assert_eq!(entry.resumes(&sessions, &third), None, "as what came after it shows");
        let (stranger, _) = entry.asked(Purpose::New);
        assert!(!sessions.takes(&stranger), "a session in use is no new one");
    }
}
