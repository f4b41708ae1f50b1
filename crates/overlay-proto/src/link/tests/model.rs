//! Two ends against a model: whatever is created, sent, released, destroyed and cut, records arrive once and in order,
//! windows hold, memory is bounded, and in the end nothing is left.

use super::*;
use crate::link::terms::Code;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Clone)]
enum Step {
    Create,
    Send {
        from_dialer: bool,
        which: usize,
        length: usize,
    },
    Release {
        at_dialer: bool,
        which: usize,
    },
    Destroy {
        by_dialer: bool,
        which: usize,
        done: bool,
    },
    Carry {
        to_acceptor: bool,
        budget: usize,
    },
    Wait {
        millis: u64,
    },
    /// Both ends lose the link (with what is on its way) and go on with a new one.
    Cut,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Create),
        12 => (any::<bool>(), 0_usize..8, prop_oneof![17_usize..300, 4000_usize..16_352])
            .prop_map(|(from_dialer, which, length)| Step::Send { from_dialer, which, length }),
        6 => (any::<bool>(), 0_usize..8).prop_map(|(at_dialer, which)| Step::Release { at_dialer, which }),
        1 => (any::<bool>(), 0_usize..8, any::<bool>())
            .prop_map(|(by_dialer, which, done)| Step::Destroy { by_dialer, which, done }),
        10 => (any::<bool>(), 1_usize..60_000)
            .prop_map(|(to_acceptor, budget)| Step::Carry { to_acceptor, budget }),
        2 => (0_u64..3000).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Cut),
    ]
}

/// What is known of one direction of a circuit.
#[derive(Default)]
struct Way {
    /// Records on their way, by length and mark.
    sent: VecDeque<(usize, u8)>,
    next: u8,
    /// Bytes received and not released.
    held: usize,
}

#[derive(Default)]
struct Known {
    /// Towards the acceptor, towards the dialer.
    ways: [Way; 2],
    open: bool,
    /// Destroyed by one end, or told so: what is on its way may be lost.
    ending: bool,
}

struct World {
    pair: Pair,
    circuits: BTreeMap<u32, Known>,
    kind: Kind,
}

impl World {
    fn run(&mut self, step: &Step) {
        match *step {
            Step::Create => {
                let made =
                    self.pair.dialer.create(Bytes::from(vec![1; 3912]), 1, self.pair.now, &mut self.pair.rng);
                if let Ok(circ) = made {
                    self.circuits.insert(circ.0, Known::default());
                }
            }
            Step::Send { from_dialer, which, length } => self.send(from_dialer, which, length),
            Step::Release { at_dialer, which } => {
                let Some((circ, known)) = pick(&mut self.circuits, which) else { return };
                let held = std::mem::take(&mut known.ways[usize::from(at_dialer)].held);
                let link = if at_dialer { &mut self.pair.dialer } else { &mut self.pair.acceptor };
                link.released(circ, held, self.pair.now);
            }
            Step::Destroy { by_dialer, which, done } => {
                let Some((circ, known)) = pick(&mut self.circuits, which) else { return };
                if !known.open {
                    return;
                }
                known.ending = true;
                let link = if by_dialer { &mut self.pair.dialer } else { &mut self.pair.acceptor };
                link.destroy(circ, if done { Code::Done } else { Code::Idle }, self.pair.now);
            }
            Step::Carry { to_acceptor, budget } => {
                self.pair.carry(to_acceptor, budget);
            }
            Step::Wait { millis } => {
                self.pair.now = Moment(self.pair.now.0 + millis * 1000);
                self.pair.dialer.tick(self.pair.now);
                self.pair.acceptor.tick(self.pair.now);
            }
            Step::Cut => self.cut(),
        }
        self.look(true);
        self.look(false);
        assert!(self.pair.dialer.buffered() <= 12 << 20 && self.pair.acceptor.buffered() <= 12 << 20);
    }

    fn send(&mut self, from_dialer: bool, which: usize, length: usize) {
        let Some((circ, known)) = pick(&mut self.circuits, which) else { return };
        let link = if from_dialer { &mut self.pair.dialer } else { &mut self.pair.acceptor };
        let way = &mut known.ways[usize::from(!from_dialer)];
        let record = Bytes::from(vec![way.next; length]);
        if link.writable(circ) >= length && link.data(circ, record).is_ok() {
            way.sent.push_back((length, way.next));
            way.next = way.next.wrapping_add(1);
        }
    }

    fn cut(&mut self) {
        if self.kind == Kind::Trunk {
            return;
        }
        let (now, terms) = (self.pair.now, LinkTerms::CLIENT);
        // What was written is lost.
        self.pair.dialer.transmit(now, 50_000, &mut |_| ());
        self.pair.acceptor.transmit(now, 50_000, &mut |_| ());
        let fresh = |role| Link::new(LinkConfig::new(role, Kind::Client), now, &mut rng(3));
        let dialer = std::mem::replace(&mut self.pair.dialer, fresh(Role::Dialer)).detach();
        let acceptor = std::mem::replace(&mut self.pair.acceptor, fresh(Role::Acceptor)).detach();
        let counts = (dialer.received(), acceptor.received());
        self.pair.acceptor.accept(Bytes::from(vec![1; 50]), terms, now);
        self.pair.acceptor.attach(acceptor, counts.0).unwrap();
        self.pair.dialer.receive(frame(1, 0, &[1; 50]), now).unwrap();
        self.pair.dialer.attach(dialer, counts.1).unwrap();
        self.pair.dialer.open(terms, None, now).unwrap();
        let mut first = Vec::new();
        self.pair.acceptor.transmit(now, 1, &mut |piece| first.push(piece));
        assert_eq!(frames(first.concat().into())[0].0, 1);
        assert!(matches!(self.pair.dialer.next_event(), Some(LinkEvent::Accept(_))));
    }

    /// Looks at what one end tells.
    fn look(&mut self, at_dialer: bool) {
        let link = if at_dialer { &mut self.pair.dialer } else { &mut self.pair.acceptor };
        for event in events(link) {
            match event {
                LinkEvent::Create { circ, .. } => {
                    assert!(!at_dialer && self.circuits.contains_key(&circ.0));
                    // The dialer may have given it up already.
                    let answered = link.created(circ, Bytes::from(vec![2; 1200])).is_ok();
                    self.circuits.get_mut(&circ.0).unwrap().ending |= !answered;
                }
                LinkEvent::Created { circ, .. } => self.circuits.get_mut(&circ.0).unwrap().open = true,
                LinkEvent::Data { circ, record } => {
                    let way = &mut self.circuits.get_mut(&circ.0).unwrap().ways[usize::from(at_dialer)];
                    let (length, mark) = way.sent.pop_front().unwrap();
                    assert_eq!((record.len(), record[0], record[length - 1]), (length, mark, mark));
                    way.held += length;
                    assert!(way.held <= 1 << 20, "the largest hop window");
                }
                LinkEvent::Destroyed { circ, code } => {
                    let known = self.circuits.get_mut(&circ.0).unwrap();
                    assert!(known.ending || code == Code::NextUnreachable, "{code:?}");
                    known.ending = true;
                }
                LinkEvent::Sent { circ, bytes } => assert!(bytes > 0 && self.circuits.contains_key(&circ.0)),
                LinkEvent::Writable(circ) => {
                    assert!(link.writable(circ) > 0 || self.circuits[&circ.0].ending);
                }
                LinkEvent::Dead => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

fn pick(circuits: &mut BTreeMap<u32, Known>, which: usize) -> Option<(CircId, &mut Known)> {
    let count = circuits.len();
    let (circ, known) = circuits.iter_mut().nth(which % count.max(1))?;
    Some((CircId(*circ), known))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]
    #[test]
    fn records_arrive_once_and_in_order_within_their_windows(
        trunk in any::<bool>(),
        cut in 0_u64..5000,
        seed in any::<u64>(),
        steps in proptest::collection::vec(step(), 1..250),
    ) {
        let kind = if trunk { Kind::Trunk } else { Kind::Client };
        let mut pair = Pair::new(kind, seed);
        pair.cut = cut;
        let mut world = World { pair, circuits: BTreeMap::new(), kind };
        for step in &steps {
            world.run(step);
        }
        // Everything is released and carried: all records of circuits that were not destroyed have arrived.
        for _ in 0..200 {
            for which in 0..world.circuits.len() {
                world.run(&Step::Release { at_dialer: true, which });
                world.run(&Step::Release { at_dialer: false, which });
            }
            world.pair.settle();
            world.look(true);
            world.look(false);
            world.run(&Step::Wait { millis: 50 });
        }
        let open = world.circuits.values().filter(|known| !known.ending).count();
        prop_assert_eq!(world.pair.dialer.circuits(), open);
        prop_assert_eq!(world.pair.acceptor.circuits(), open);
        for known in world.circuits.values().filter(|known| !known.ending) {
            prop_assert!(known.ways.iter().all(|way| way.sent.is_empty()));
        }
        for which in 0..world.circuits.len() {
            world.run(&Step::Destroy { by_dialer: true, which, done: true });
        }
        world.pair.settle();
        world.run(&Step::Wait { millis: 1000 });
        world.pair.settle();
        prop_assert_eq!((world.pair.dialer.buffered(), world.pair.acceptor.buffered()), (0, 0));
    }
}

#[test]
fn a_cut_while_answers_are_on_their_way_loses_nothing() {
    let carry = |to_acceptor, budget| Step::Carry { to_acceptor, budget };
    let steps = [
        Step::Create,
        Step::Create,
        Step::Create,
        Step::Create,
        carry(true, 1),
        Step::Send { from_dialer: false, which: 6, length: 4096 },
        carry(true, 10_183),
        Step::Cut,
        carry(false, 1),
        Step::Create,
        carry(true, 471),
        Step::Wait { millis: 2152 },
        carry(false, 37_667),
    ];
    let mut world = World { pair: Pair::new(Kind::Client, 0), circuits: BTreeMap::new(), kind: Kind::Client };
    for step in &steps {
        world.run(step);
    }
}
