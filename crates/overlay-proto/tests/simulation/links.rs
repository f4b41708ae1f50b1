//! Links of a world: how they are opened, with openers and proofs; heard, spoken, cut, resumed (ovl1 sections 4, 5, 9).

use super::node::{NETWORK, TODAY};
use super::pipe::{Pipe, Way};
use super::world::{Line, LineState, Owner, Side, Speaker, Spot, Who, World};
use bytes::{Bytes, BytesMut};
use shoalway_overlay_proto::UnixTime;
use shoalway_overlay_proto::identity::{Delegation, ed25519};
use shoalway_overlay_proto::link::Link;
use shoalway_overlay_proto::link::session::Session;
use shoalway_overlay_proto::link::terms::{Code, Kind, LinkConfig, LinkEvent, LinkTerms, Role};
use shoalway_overlay_proto::opener::secrets::NodeAuth;
use shoalway_overlay_proto::opener::{
    Accept, Binding, GateKeeper, LinkKind, LinkSecrets, OpenerAsk, Purpose, ResumeKey, SessionId, seal_opener,
};
use std::time::Duration;

/// What both ends of an opened link know: the client's secrets, the server's, and the body of ACCEPT.
struct Opened {
    dialer: LinkSecrets,
    acceptor: LinkSecrets,
    accept: Bytes,
    /// The key that a resumption was proven by.
    proven: Option<ResumeKey>,
}

impl World {
    /// A client's link to an entry.
    pub fn client(&mut self, entry: usize, way: Way) -> usize {
        self.dial(Who::Client, entry, Kind::Client, way)
    }

    /// A trunk, dialled by the first.
    pub fn trunk(&mut self, from: usize, to: usize, way: Way) -> usize {
        self.dial(Who::Node(from), to, Kind::Trunk, way)
    }

    fn dial(&mut self, who: Who, to: usize, kind: Kind, way: Way) -> usize {
        let session = SessionId::random(&mut self.chance);
        let purpose = if kind == Kind::Client { Purpose::New } else { Purpose::Node };
        let opened = self.knock(to, session, purpose, None).unwrap();
        let accepted = vec![opened.acceptor.resume_key().clone()];
        let links = self.links(kind, &opened);
        let [dialer, acceptor] = links.map(|link| Speaker::Link(Box::new(link)));
        let side = |who, speaker, secrets| Side { who, speaker, out: Pipe::new(way), secrets: Some(secrets) };
        let sides = [side(who, dialer, opened.dialer), side(Who::Node(to), acceptor, opened.acceptor)];
        self.lines.push(Line { kind, sides, state: LineState::Up, session, resume: None, accepted });
        self.lines.len() - 1
    }

    /// A line whose one end is moved by the test: it dialled (0) or was dialled (1), and has been let in.
    pub fn puppet(&mut self, side: usize, to: usize, kind: Kind, way: Way) -> Spot {
        let line = match (side, kind) {
            (0, Kind::Client) => self.client(to, way),
            (0, Kind::Trunk) => {
                let from = self.node();
                self.trunk(from, to, way)
            }
            _ => {
                let acceptor = self.node();
                self.trunk(to, acceptor, way)
            }
        };
        self.pass(Duration::from_secs(1));
        self.lines[line].sides[side].speaker = Speaker::Puppet(BytesMut::new());
        Spot { line, side }
    }

    /// An opener, as it is sealed, admitted and opened; `None` when the site would answer.
    fn knock(
        &mut self,
        to: usize,
        session: SessionId,
        purpose: Purpose<'_>,
        held: Option<(u64, &[ResumeKey])>,
    ) -> Option<Opened> {
        let binding = Binding::Exporter(self.chance.bytes(32).try_into().unwrap());
        let node = &self.nodes[to];
        let key = if matches!(purpose, Purpose::Node) { &node.descriptor } else { &node.invitation };
        let ask = OpenerAsk { purpose, session, time: UnixTime(0), token: None };
        let (text, dialer) = seal_opener(key, &binding, &ask, &mut self.chance).unwrap();
        let gated = node.gates.admit(text.as_bytes(), &binding)?;
        assert_eq!(gated.slot() == GateKeeper::LINK_GATE, matches!(ask.purpose, Purpose::Node));
        let (asked, acceptor) = gated.open(&node.link, &NETWORK, node.address).ok()?;
        let (resumed, proven) = match (asked.kind(), &asked.resume, held) {
            (LinkKind::Resume, Some(claim), Some((_, keys))) => {
                (true, Some(keys.iter().find(|key| claim.is_proven(key))?.clone()))
            }
            (LinkKind::Resume, ..) => return None,
            (LinkKind::New | LinkKind::Node, ..) => (false, None),
        };
        let accept = Accept {
            version: asked.version,
            resumed,
            terms: self.link_terms,
            session_ttl: Duration::from_secs(60),
            received: held.map_or(0, |(count, _)| count),
        };
        let accept = Bytes::from(accept.encode(&acceptor));
        Some(Opened { dialer, acceptor, accept, proven })
    }

    /// The two links of an opened line; the acceptor has said ACCEPT.
    fn links(&mut self, kind: Kind, opened: &Opened) -> [Link; 2] {
        let now = self.now;
        let new =
            |role, chance: &mut super::chance::Chance| Link::new(LinkConfig::new(role, kind), now, chance);
        let dialer = new(Role::Dialer, &mut self.chance);
        let mut acceptor = new(Role::Acceptor, &mut self.chance);
        let terms = match kind {
            Kind::Client => self.link_terms,
            Kind::Trunk => LinkTerms { max_circuits: 16_384, ..self.link_terms },
        };
        acceptor.accept(opened.accept.clone(), terms, now);
        [dialer, acceptor]
    }

    /// A line is lost, with all that is on its way. A client's session may go on; a trunk's circuits end.
    pub fn cut(&mut self, line: usize) {
        self.lines[line].sides.iter_mut().for_each(|side| side.out.lose());
        match self.lines[line].kind {
            Kind::Client => self.lines[line].state = LineState::Cut,
            Kind::Trunk => self.end_line(line),
        }
    }

    /// The client comes back after a cut.
    pub fn resume(&mut self, line: usize) {
        assert_eq!(self.lines[line].state, LineState::Cut);
        let Who::Node(to) = self.lines[line].sides[1].who else { panic!("an entry") };
        let (session, key) = (self.lines[line].session, self.lines[line].resume.clone().unwrap());
        let accepted = std::mem::take(&mut self.lines[line].accepted);
        let counts = [0, 1].map(|side| self.link(Spot { line, side }).unwrap().received());
        let purpose = Purpose::Resume { key: &key, received: counts[0] };
        let opened = self.knock(to, session, purpose, Some((counts[1], &accepted))).unwrap();
        let [mut dialer, mut acceptor] = self.links(Kind::Client, &opened);
        let [old_dialer, old_acceptor] = [0, 1].map(|side| self.session(Spot { line, side }));
        acceptor.attach(old_acceptor, counts[0]).unwrap();
        dialer.attach(old_dialer, counts[1]).unwrap();
        let found = &mut self.lines[line];
        found.accepted = vec![opened.acceptor.resume_key().clone()];
        found.accepted.extend(opened.proven);
        found.state = LineState::Up;
        for (side, (link, secrets)) in
            found.sides.iter_mut().zip([(dialer, opened.dialer), (acceptor, opened.acceptor)])
        {
            side.speaker = Speaker::Link(Box::new(link));
            side.secrets = Some(secrets);
        }
    }

    /// Takes the session out of a link, which is of no use any more.
    fn session(&mut self, spot: Spot) -> Session {
        let spare = LinkConfig::new(Role::Dialer, Kind::Client);
        let spare = Speaker::Link(Box::new(Link::new(spare, self.now, &mut self.chance)));
        match std::mem::replace(&mut self.lines[spot.line].sides[spot.side].speaker, spare) {
            Speaker::Link(link) => link.detach(),
            Speaker::Puppet(_) => panic!("a puppet has no session"),
        }
    }

    /// A line is over: so are its circuits, at both ends.
    pub fn end_line(&mut self, line: usize) {
        if self.lines[line].state == LineState::Over {
            return;
        }
        self.lines[line].state = LineState::Over;
        self.lines[line].sides.iter_mut().for_each(|side| side.out.lose());
        let mut of_line: Vec<_> = self.owners.keys().filter(|(spot, _)| spot.line == line).copied().collect();
        of_line.sort_by_key(|(spot, circ)| (spot.side, *circ));
        for (spot, circ) in of_line {
            self.destroyed(spot, circ, Code::LinkLost);
        }
    }

    /// Reads what arrived, does what time asks for, and looks at what happened.
    pub fn hear(&mut self, spot: Spot) -> bool {
        if self.lines[spot.line].state != LineState::Up {
            return false;
        }
        let mut busy = false;
        let now = self.now;
        while let Some(chunk) = self.lines[spot.line].sides[spot.far().side].out.read(now) {
            busy = true;
            match &mut self.lines[spot.line].sides[spot.side].speaker {
                Speaker::Puppet(heard) => heard.extend_from_slice(&chunk),
                Speaker::Link(link) => {
                    if let Err(fault) = link.receive(chunk, now) {
                        self.faults.push((spot, fault));
                        // GOAWAY, then the stream is reset.
                        self.speak(spot);
                        self.end_line(spot.line);
                        return true;
                    }
                }
            }
        }
        if let Some(link) = self.link(spot)
            && link.deadline().is_some_and(|at| at <= now)
        {
            link.tick(now);
            busy = true;
        }
        busy | self.look(spot)
    }

    fn look(&mut self, spot: Spot) -> bool {
        let mut busy = false;
        while let Some(event) = self.link(spot).and_then(Link::next_event) {
            busy = true;
            self.on_event(spot, event);
        }
        busy
    }

    fn on_event(&mut self, spot: Spot, event: LinkEvent) {
        match event {
            LinkEvent::Accept(body) => self.on_accept(spot, &body),
            LinkEvent::NodeAuth(body) => self.on_node_auth(spot, &body),
            LinkEvent::Create { circ, body } => self.on_create(spot, circ, &body),
            LinkEvent::Created { circ, body } => self.on_created(spot, circ, body),
            LinkEvent::Data { circ, record } => self.on_data(spot, circ, record),
            LinkEvent::Sent { circ, bytes } => self.on_sent(spot, circ, bytes),
            LinkEvent::Destroyed { circ, code } => {
                self.ended.push((spot, circ, code));
                self.destroyed(spot, circ, code);
            }
            LinkEvent::DirGet { .. } => {
                let body = self.table.slice(..100_000);
                self.link(spot).unwrap().dir_answer(body);
            }
            LinkEvent::Dead | LinkEvent::Finished => self.end_line(spot.line),
            LinkEvent::Writable(_) | LinkEvent::GoAway { .. } | LinkEvent::DirData { .. } => {}
        }
    }

    fn on_accept(&mut self, spot: Spot, body: &[u8]) {
        let side = &self.lines[spot.line].sides[spot.side];
        let secrets = side.secrets.as_ref().unwrap();
        let accept = Accept::check(body, secrets).unwrap();
        let proof = match side.who {
            Who::Client => None,
            Who::Node(node) => {
                let signed = secrets.node_auth_bytes();
                let node = &self.nodes[node];
                let sig = node.signing.sign("ovl1 node", &signed[b"ovl1 node\0".len()..]);
                Some(Bytes::from(NodeAuth { delegation: node.delegation, sig }.encode()))
            }
        };
        let resume = secrets.resume_key().clone();
        self.lines[spot.line].resume = Some(resume);
        let max_circuits = if proof.is_some() { 16_384 } else { accept.terms.max_circuits };
        let (terms, now) = (LinkTerms { max_circuits, ..accept.terms }, self.now);
        self.link(spot).unwrap().open(terms, proof, now).unwrap();
    }

    fn on_node_auth(&mut self, spot: Spot, body: &[u8]) {
        let secrets = self.lines[spot.line].sides[spot.side].secrets.as_ref().unwrap();
        let auth = NodeAuth::decode(body).unwrap();
        let delegation = Delegation::parse(&auth.delegation).unwrap().check(&NETWORK, TODAY).unwrap();
        let signed = secrets.node_auth_bytes();
        let signed = &signed[b"ovl1 node\0".len()..];
        ed25519::verify(&delegation.terms().node_key, "ovl1 node", signed, &auth.sig).unwrap();
        assert!(self.nodes.iter().any(|node| node.address == delegation.terms().node), "a known node");
        let now = self.now;
        self.link(spot).unwrap().admit(now).unwrap();
    }

    /// Writes as much as the stream takes.
    pub fn speak(&mut self, spot: Spot) -> bool {
        let now = self.now;
        let line = &mut self.lines[spot.line];
        let Side { speaker, out, .. } = &mut line.sides[spot.side];
        let Speaker::Link(link) = speaker else { return false };
        let room = out.room(now);
        if line.state != LineState::Up || room == 0 || !link.wants_transmit() {
            return false;
        }
        let written = link.transmit(now, room, &mut |piece| out.write(piece, now));
        self.look(spot) | (written > 0)
    }

    /// The test writes for a puppet.
    pub fn say(&mut self, spot: Spot, bytes: Bytes) {
        let now = self.now;
        self.lines[spot.line].sides[spot.side].out.write(bytes, now);
    }

    /// Whose a circuit is.
    pub fn owner(&self, spot: Spot, circ: shoalway_overlay_proto::link::terms::CircId) -> Option<Owner> {
        self.owners.get(&(spot, circ)).copied()
    }
}
