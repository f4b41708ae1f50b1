//! What hops do with circuits: they open CREATEs, pass records on, end what has ended (ovl1 section 6).

use super::node::{NETWORK, TODAY};
use super::ports::{Port, State};
use super::world::{LineState, Owner, Relay, Spot, Who, World};
use bytes::{Bytes, BytesMut};
use shoalway_overlay_proto::circuit::CircuitEnd;
use shoalway_overlay_proto::circuit::terms::End;
use shoalway_overlay_proto::create::hop::Neighbour;
use shoalway_overlay_proto::create::{CreatedTerms, ExitRequest, Opened, RelayRequest, Standing};
use shoalway_overlay_proto::layer::{ClientLayers, RelayLayer};
use shoalway_overlay_proto::link::terms::{CircId, Code, Kind};
use shoalway_overlay_proto::record::Suite;
use shoalway_types::wallet::Address;

impl World {
    fn node_at(&self, spot: Spot) -> usize {
        match self.lines[spot.line].sides[spot.side].who {
            Who::Node(node) => node,
            Who::Client => panic!("a node"),
        }
    }

    /// This node's end of a trunk to another.
    pub fn trunk_to(&self, node: usize, next: Address) -> Option<Spot> {
        let trunks = self.spots().filter(|spot| {
            let line = &self.lines[spot.line];
            line.state == LineState::Up && line.kind == Kind::Trunk
        });
        trunks.into_iter().find(|spot| {
            let far = self.lines[spot.line].sides[spot.far().side].who;
            self.lines[spot.line].sides[spot.side].who == Who::Node(node)
                && matches!(far, Who::Node(far) if self.nodes[far].address == next)
        })
    }

    pub fn on_create(&mut self, spot: Spot, circ: CircId, body: &Bytes) {
        self.creates.push((spot, body.clone()));
        if let Err(code) = self.try_create(spot, circ, body) {
            let now = self.now;
            self.link(spot).unwrap().destroy(circ, code, now);
        }
    }

    fn try_create(&mut self, spot: Spot, circ: CircId, body: &Bytes) -> Result<(), Code> {
        let at = self.node_at(spot);
        let from = match self.lines[spot.line].kind {
            Kind::Client => Neighbour::Client,
            Kind::Trunk => Neighbour::Node,
        };
        let node = &mut self.nodes[at];
        let opened = node.kems.open(&NETWORK, node.address, body, TODAY).map_err(|fault| fault.code())?;
        opened.fits(Standing { role: node.roles, from }).map_err(|fault| fault.code())?;
        match opened {
            Opened::Relay(request) => self.pass_on(spot, circ, request, at),
            Opened::Exit(request) => self.answer(spot, circ, request),
        }
    }

    fn pass_on(&mut self, spot: Spot, circ: CircId, request: RelayRequest, at: usize) -> Result<(), Code> {
        let trunk = self.trunk_to(at, request.next).ok_or(Code::UnknownNext)?;
        if trunk.line == spot.line {
            return Err(Code::Refused);
        }
        let (now, group) = (self.now, spot.line as u32 + 1);
        let mut chance = super::chance::Chance(self.chance.between(0, u64::MAX - 1));
        let made = self.link(trunk).unwrap().create(Bytes::from(request.inner), group, now, &mut chance);
        let next = made.map_err(|_not_taken| Code::Busy)?;
        let layer = request.layer.map(RelayLayer::new);
        self.relays.push(Relay { front: (spot, circ), back: Some((trunk, next)), layer });
        let relay = self.relays.len() - 1;
        self.owners.insert((spot, circ), Owner::Front(relay));
        self.owners.insert((trunk, next), Owner::Back(relay));
        Ok(())
    }

    fn answer(&mut self, spot: Spot, circ: CircId, request: ExitRequest) -> Result<(), Code> {
        let suite = if circ.0 & 1 == 0 { Suite::Aes256Gcm } else { Suite::ChaCha20Poly1305 };
        let terms = CreatedTerms { suite, circuit: self.terms, directory: (1, [1; 32]) };
        let (body, keys) = request.answer(&terms, &mut self.chance).map_err(|_bad_key| Code::Protocol)?;
        let end = CircuitEnd::new(End::Exit, self.terms, &keys.tx, &keys.rx, self.now);
        let live = State::Live { end: Box::new(end), layers: ClientLayers::default() };
        self.ports.push(Port::new(spot, circ, live));
        self.owners.insert((spot, circ), Owner::Port(self.ports.len() - 1));
        self.link(spot).unwrap().created(circ, Bytes::from(body)).map_err(|_gone| Code::Protocol)
    }

    pub fn on_created(&mut self, spot: Spot, circ: CircId, body: Bytes) {
        match self.owner(spot, circ) {
            Some(Owner::Back(relay)) => {
                let relay = &mut self.relays[relay];
                let body = layered(relay.layer.as_mut().map(|layer| &mut layer.to_client), body);
                let (front, circ) = relay.front;
                self.link(front).unwrap().created(circ, body).unwrap();
            }
            Some(Owner::Port(port)) => self.stands(port, &body),
            Some(Owner::Front(_)) => panic!("CREATED of a circuit that this end did not ask for"),
            // What a test asked for by hand.
            None => {}
        }
    }

    pub fn on_data(&mut self, spot: Spot, circ: CircId, record: Bytes) {
        match self.owner(spot, circ) {
            Some(Owner::Front(relay)) => {
                let found = &mut self.relays[relay];
                let record = layered(found.layer.as_mut().map(|layer| &mut layer.to_exit), record);
                let back = found.back;
                let records = self
                    .tamper
                    .as_mut()
                    .map_or_else(|| vec![record.clone()], |tamper| tamper(record.clone()));
                for record in records {
                    let taken =
                        back.is_some_and(|(back, circ)| self.link(back).unwrap().data(circ, record).is_ok());
                    if !taken {
                        self.break_relay(relay, Code::Protocol);
                    }
                }
            }
            Some(Owner::Back(relay)) => {
                let found = &mut self.relays[relay];
                let record = layered(found.layer.as_mut().map(|layer| &mut layer.to_client), record);
                let (front, circ) = found.front;
                if self.link(front).is_none_or(|link| link.data(circ, record).is_err()) {
                    self.break_relay(relay, Code::Protocol);
                }
            }
            Some(Owner::Port(port)) => self.record(port, record),
            None => {}
        }
    }

    fn break_relay(&mut self, relay: usize, code: Code) {
        let found = &self.relays[relay];
        for (spot, circ) in [Some(found.front), found.back].into_iter().flatten() {
            self.release_owner(spot, circ, code);
        }
    }

    /// Ends a circuit at this end of a line.
    pub fn release_owner(&mut self, spot: Spot, circ: CircId, code: Code) {
        let now = self.now;
        if self.owners.remove(&(spot, circ)).is_some()
            && let Some(link) = self.link(spot)
        {
            link.destroy(circ, code, now);
        }
    }

    pub fn on_sent(&mut self, spot: Spot, circ: CircId, bytes: usize) {
        let came_by = match self.owner(spot, circ) {
            Some(Owner::Front(relay)) => self.relays[relay].back,
            Some(Owner::Back(relay)) => Some(self.relays[relay].front),
            Some(Owner::Port(_)) | None => None,
        };
        let now = self.now;
        if let Some((spot, circ)) = came_by
            && let Some(link) = self.link(spot)
        {
            link.released(circ, bytes, now);
        }
    }

    /// A circuit is gone at this end of a line: what depends on it ends with the same code.
    pub fn destroyed(&mut self, spot: Spot, circ: CircId, code: Code) {
        match self.owners.remove(&(spot, circ)) {
            Some(Owner::Front(relay)) => {
                if let Some((spot, circ)) = self.relays[relay].back {
                    self.release_owner(spot, circ, code);
                }
            }
            Some(Owner::Back(relay)) => {
                let (spot, circ) = self.relays[relay].front;
                self.release_owner(spot, circ, code);
            }
            Some(Owner::Port(port)) => self.ports[port].lost(code),
            None => {}
        }
    }
}

fn layered(layer: Option<&mut shoalway_overlay_proto::layer::Layer>, body: Bytes) -> Bytes {
    let Some(layer) = layer else { return body };
    let mut body = BytesMut::from(body);
    layer.apply(&mut body);
    body.freeze()
}
