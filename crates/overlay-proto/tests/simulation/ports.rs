//! The ends of circuits in a world, and the applications at them (ovl1 sections 6.4, 7, 8).

use super::flow::Server;
use super::node::NETWORK;
use super::world::{LineState, Owner, Speaker, Spot, Who, World};
use bytes::{Bytes, BytesMut};
use shoalway_overlay_proto::Moment;
use shoalway_overlay_proto::circuit::CircuitEnd;
use shoalway_overlay_proto::circuit::terms::{
    CircuitEvent, Destination, End, OpenRefused, ResetCode, StreamId,
};
use shoalway_overlay_proto::create::{HopKey, Offer, PendingCircuit, Suites, build};
use shoalway_overlay_proto::layer::ClientLayers;
use shoalway_overlay_proto::link::terms::{CircId, Code, NotTaken};
use shoalway_types::{Host, Target};
use std::collections::BTreeMap;

/// An end of a circuit.
pub struct Port {
    pub spot: Spot,
    pub circ: CircId,
    pub state: State,
    pub flows: BTreeMap<StreamId, usize>,
    pub draining: bool,
    /// Records that were opened here.
    pub records: u64,
}

pub enum State {
    Pending(Option<Box<PendingCircuit>>),
    Live { end: Box<CircuitEnd>, layers: ClientLayers },
    Over(Code),
}

impl Port {
    pub const fn new(spot: Spot, circ: CircId, state: State) -> Self {
        Self { spot, circ, state, flows: BTreeMap::new(), draining: false, records: 0 }
    }

    pub fn deadline(&self) -> Option<Moment> {
        match &self.state {
            State::Live { end, .. } => end.deadline(),
            State::Pending(_) | State::Over(_) => None,
        }
    }

    pub fn end(&mut self) -> Option<&mut CircuitEnd> {
        match &mut self.state {
            State::Live { end, .. } => Some(end),
            State::Pending(_) | State::Over(_) => None,
        }
    }

    pub const fn is_live(&self) -> bool {
        matches!(self.state, State::Live { .. })
    }

    pub const fn over(&self) -> Option<Code> {
        match self.state {
            State::Over(code) => Some(code),
            State::Pending(_) | State::Live { .. } => None,
        }
    }

    pub fn lost(&mut self, code: Code) {
        match &mut self.state {
            State::Live { end, .. } => end.lost(code),
            State::Pending(_) => self.state = State::Over(code),
            State::Over(_) => {}
        }
    }
}

impl World {
    /// A client asks for a circuit through these nodes; its port.
    pub fn circuit(&mut self, line: usize, path: &[usize]) -> Result<usize, NotTaken> {
        let hops: Vec<HopKey> = path.iter().map(|node| self.nodes[*node].hop.clone()).collect();
        let offer = Offer { suites: Suites::BOTH, token: &[] };
        let (create, pending) = build(&NETWORK, &hops, &offer, &mut self.chance).unwrap();
        let (spot, now) = (Spot { line, side: 0 }, self.now);
        let mut chance = super::chance::Chance(self.chance.between(0, u64::MAX - 1));
        let circ = self.link(spot).unwrap().create(Bytes::from(create), 0, now, &mut chance)?;
        self.ports.push(Port::new(spot, circ, State::Pending(Some(Box::new(pending)))));
        self.owners.insert((spot, circ), Owner::Port(self.ports.len() - 1));
        Ok(self.ports.len() - 1)
    }

    /// A circuit that stands.
    #[track_caller]
    pub fn standing(&mut self, line: usize, path: &[usize]) -> usize {
        self.until(super::world::seconds(3), Self::is_joined);
        let port = self.circuit(line, path).unwrap();
        assert!(self.until(super::world::seconds(9), |world| world.ports[port].is_live()), "no circuit");
        port
    }

    /// All links are open.
    fn is_joined(&self) -> bool {
        let up = self.lines.iter().filter(|line| line.state == LineState::Up);
        up.flat_map(|line| &line.sides).all(|side| match &side.speaker {
            Speaker::Link(link) => link.is_open(),
            Speaker::Puppet(_) => true,
        })
    }

    /// CREATED came to a client.
    pub fn stands(&mut self, port: usize, body: &[u8]) {
        let now = self.now;
        let found = &mut self.ports[port];
        let State::Pending(pending) = &mut found.state else { panic!("CREATED twice") };
        match pending.take().unwrap().created(body) {
            Ok(ready) => {
                let end = CircuitEnd::new(End::Client, ready.terms.circuit, &ready.tx, &ready.rx, now);
                found.state = State::Live { end: Box::new(end), layers: ready.layers };
            }
            Err(_broken) => {
                found.state = State::Over(Code::Protocol);
                let (spot, circ) = (found.spot, found.circ);
                self.release_owner(spot, circ, Code::Protocol);
            }
        }
    }

    /// A stream for a flow: its destination tells the exit which.
    pub fn open_stream(&mut self, port: usize, flow: usize) -> Result<StreamId, OpenRefused> {
        let now = self.now;
        let dest = Target::new(Host::parse(&format!("f{flow}.example")).unwrap(), 443);
        let found = &mut self.ports[port];
        let stream = found.end().ok_or(OpenRefused::Draining)?.open(Destination::Target(dest), now)?;
        found.flows.insert(stream, flow);
        Ok(stream)
    }

    /// A record came.
    pub fn record(&mut self, port: usize, record: Bytes) {
        let now = self.now;
        let found = &mut self.ports[port];
        let (spot, circ, length) = (found.spot, found.circ, record.len());
        if let State::Live { end, layers } = &mut found.state {
            let mut record = BytesMut::from(record);
            layers.remove(&mut record);
            if end.receive(&record, now).is_ok() {
                found.records += 1;
            }
        }
        if let Some(link) = self.link(spot) {
            link.released(circ, length, now);
        }
    }

    /// Does what time asks for, looks at what happened, sends what the link takes.
    pub fn serve(&mut self, port: usize) -> bool {
        let now = self.now;
        let Some(end) = self.ports[port].end() else { return false };
        let mut busy = false;
        if end.deadline().is_some_and(|at| at <= now) {
            end.tick(now);
            busy = true;
        }
        loop {
            let told = self.tell(port);
            let sent = self.send(port);
            if !told && !sent {
                return busy;
            }
            busy = true;
        }
    }

    fn tell(&mut self, port: usize) -> bool {
        let mut told = false;
        while let Some(event) = self.ports[port].end().and_then(CircuitEnd::next_event) {
            told = true;
            self.on_circuit_event(port, event);
        }
        told
    }

    fn send(&mut self, port: usize) -> bool {
        let now = self.now;
        let (spot, circ) = (self.ports[port].spot, self.ports[port].circ);
        // A link that is cut takes records all the same: they wait in the session.
        if self.lines[spot.line].state == LineState::Over {
            return false;
        }
        let Some(writable) = self.link(spot).map(|link| link.writable(circ)) else { return false };
        let State::Live { end, layers } = &mut self.ports[port].state else { return false };
        let Some(record) = end.transmit(writable, now) else { return false };
        let mut record = BytesMut::from(record);
        layers.add(&mut record);
        self.link(spot).unwrap().data(circ, record.freeze()).unwrap();
        true
    }

    fn on_circuit_event(&mut self, port: usize, event: CircuitEvent) {
        let found = &mut self.ports[port];
        match event {
            CircuitEvent::Open { stream, dest } => self.asked(port, stream, &dest),
            CircuitEvent::Opened(stream) => self.flows[found.flows[&stream]].opened = true,
            CircuitEvent::Data { stream, bytes } => {
                let (flow, client) = (found.flows[&stream], self.is_client(port));
                let flow = &mut self.flows[flow];
                let course = if client { &mut flow.down } else { &mut flow.up };
                course.arrived(&bytes, self.now, &self.table);
            }
            CircuitEvent::Fin(stream) => {
                let (flow, client) = (found.flows[&stream], self.is_client(port));
                let flow = &mut self.flows[flow];
                let course = if client { &mut flow.down } else { &mut flow.up };
                assert_eq!(course.got, course.total, "the end before the last byte");
                course.fin_got = true;
            }
            CircuitEvent::Reset { stream, code } => {
                let (flow, client) = (found.flows[&stream], self.is_client(port));
                self.flows[flow].reset[usize::from(!client)] = Some(code);
            }
            CircuitEvent::Draining => found.draining = true,
            CircuitEvent::Closed { reason, destroy } => {
                found.state = State::Over(reason);
                let (spot, circ) = (found.spot, found.circ);
                self.release_owner(spot, circ, destroy);
            }
            CircuitEvent::Writable(_)
            | CircuitEvent::DirGet { .. }
            | CircuitEvent::DirData { .. }
            | CircuitEvent::Pong(_) => {}
        }
    }

    pub fn is_client(&self, port: usize) -> bool {
        let spot = self.ports[port].spot;
        self.lines[spot.line].sides[spot.side].who == Who::Client
    }

    fn asked(&mut self, port: usize, stream: StreamId, dest: &Destination) {
        let Destination::Target(target) = dest else { panic!("a destination") };
        let name = target.host.name().unwrap();
        let flow: usize =
            name.strip_prefix('f').and_then(|name| name.strip_suffix(".example")).unwrap().parse().unwrap();
        self.ports[port].flows.insert(stream, flow);
        let found = &mut self.flows[flow];
        assert!(found.exit.is_none(), "a stream is asked for once");
        found.exit = Some(port);
        let server = found.server;
        let end = self.ports[port].end().unwrap();
        match server {
            Server::Accepts => end.opened(stream),
            Server::Refuses(code) => {
                end.reset(stream, code);
                self.flows[flow].reset[1] = Some(code);
            }
            Server::Silent => {}
        }
    }

    /// The applications of a flow write and read.
    pub fn drive(&mut self, flow: usize) -> bool {
        let Some(exit) = self.flows[flow].exit.filter(|_| self.flows[flow].server == Server::Accepts) else {
            return false;
        };
        let client = self.flows[flow].client;
        let up = self.write(flow, client, true) | self.read(flow, exit, true);
        up | self.write(flow, exit, false) | self.read(flow, client, false)
    }

    fn write(&mut self, flow: usize, port: usize, up: bool) -> bool {
        let now = self.now;
        let Self { flows, ports, table, .. } = self;
        let found = &mut flows[flow];
        let Some(end) = ports[port].end().filter(|_| found.reset[usize::from(!up)].is_none()) else {
            return false;
        };
        if up && !found.opened {
            return false;
        }
        let stream = found.stream;
        let course = if up { &mut found.up } else { &mut found.down };
        if course.fin_sent {
            return false;
        }
        let wanted = course.wants(now);
        let mut bytes = course.pattern(course.sent, wanted as usize, table);
        let taken = end.send(stream, &mut bytes);
        if taken > 0 {
            course.wrote(taken as u64, now);
        }
        if course.sent == course.total {
            end.fin(stream);
            course.fin_sent = true;
            return true;
        }
        taken > 0
    }

    fn read(&mut self, flow: usize, port: usize, up: bool) -> bool {
        let now = self.now;
        let Self { flows, ports, .. } = self;
        let found = &mut flows[flow];
        let course = if up { &mut found.up } else { &mut found.down };
        let bytes = course.reads(now);
        if bytes > 0
            && let Some(end) = ports[port].end()
        {
            end.consumed(found.stream, bytes, now);
        }
        bytes > 0
    }

    /// The client's application gives a flow up.
    pub fn give_up(&mut self, flow: usize) {
        let (port, stream) = (self.flows[flow].client, self.flows[flow].stream);
        self.flows[flow].reset[0] = Some(ResetCode::Cancelled);
        if let Some(end) = self.ports[port].end() {
            end.reset(stream, ResetCode::Cancelled);
        }
    }
}
