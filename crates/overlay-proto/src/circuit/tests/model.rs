//! Both ends against a model: bytes of every stream arrive whole and in order, windows hold, nothing is left over.

use super::*;
use crate::circuit::terms::ResetCode;
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Debug, Clone)]
enum Step {
    Open,
    Send { by_client: bool, which: usize, length: usize },
    Consume { at_client: bool, which: usize },
    Fin { by_client: bool, which: usize },
    Reset { by_client: bool, which: usize },
    Carry { to_exit: bool, credit: usize },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Open),
        12 => (any::<bool>(), 0_usize..9, prop_oneof![1_usize..50, 1000_usize..90_000])
            .prop_map(|(by_client, which, length)| Step::Send { by_client, which, length }),
        8 => (any::<bool>(), 0_usize..9).prop_map(|(at_client, which)| Step::Consume { at_client, which }),
        1 => (any::<bool>(), 0_usize..9).prop_map(|(by_client, which)| Step::Fin { by_client, which }),
        1 => (any::<bool>(), 0_usize..9).prop_map(|(by_client, which)| Step::Reset { by_client, which }),
        14 => (any::<bool>(), prop_oneof![500_usize..3000, Just(65_536)])
            .prop_map(|(to_exit, credit)| Step::Carry { to_exit, credit }),
        1 => (0_u64..2000).prop_map(Step::Wait),
    ]
}

#[derive(Default, Clone)]
struct Way {
    /// Bytes sent and received so far: byte n of a way is `n % 251`.
    sent: usize,
    received: usize,
    held: usize,
    fin_sent: bool,
    fin_received: bool,
}

#[derive(Default)]
struct Known {
    /// Towards the exit, towards the client.
    ways: [Way; 2],
    open: bool,
    reset: bool,
}

struct World {
    pair: Pair,
    streams: BTreeMap<u32, Known>,
}

impl World {
    fn run(&mut self, step: &Step) {
        let now = self.pair.now;
        match *step {
            Step::Open => {
                if let Ok(stream) = self.pair.client.open(dest("example.org:443"), now) {
                    self.streams.insert(stream.0, Known::default());
                }
            }
            Step::Send { by_client, which, length } => {
                let Some((stream, known)) = pick(&mut self.streams, which) else { return };
                let way = &mut known.ways[usize::from(!by_client)];
                let mut bytes =
                    (way.sent..way.sent + length).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
                let end = if by_client { &mut self.pair.client } else { &mut self.pair.exit };
                let taken = end.send(stream, &mut bytes);
                assert!(taken == 0 || !way.fin_sent && (known.open || !by_client));
                assert_eq!(bytes.len(), length - taken);
                way.sent += taken;
            }
            Step::Consume { at_client, which } => {
                let Some((stream, known)) = pick(&mut self.streams, which) else { return };
                let held = std::mem::take(&mut known.ways[usize::from(at_client)].held);
                let end = if at_client { &mut self.pair.client } else { &mut self.pair.exit };
                end.consumed(stream, held, now);
            }
            Step::Fin { by_client, which } => {
                let Some((stream, known)) = pick(&mut self.streams, which) else { return };
                if known.open {
                    known.ways[usize::from(!by_client)].fin_sent = true;
                    let end = if by_client { &mut self.pair.client } else { &mut self.pair.exit };
                    end.fin(stream);
                }
            }
            Step::Reset { by_client, which } => {
                let Some((stream, known)) = pick(&mut self.streams, which) else { return };
                if known.open {
                    known.reset = true;
                    let end = if by_client { &mut self.pair.client } else { &mut self.pair.exit };
                    end.reset(stream, ResetCode::Cancelled);
                }
            }
            Step::Carry { to_exit, credit } => {
                self.pair.carry(to_exit, credit);
            }
            Step::Wait(time) => {
                self.pair.now = millis(now, time);
                self.pair.client.tick(self.pair.now);
                self.pair.exit.tick(self.pair.now);
            }
        }
        self.look(true);
        self.look(false);
        assert!(self.pair.client.queued.max(self.pair.exit.queued) <= 256 * 1024);
    }

    fn look(&mut self, at_client: bool) {
        let end = if at_client { &mut self.pair.client } else { &mut self.pair.exit };
        for event in events(end) {
            match event {
                CircuitEvent::Open { stream, .. } => {
                    assert!(!at_client);
                    end.opened(stream);
                }
                CircuitEvent::Opened(stream) => self.streams.get_mut(&stream.0).unwrap().open = true,
                CircuitEvent::Data { stream, bytes } => {
                    let way = &mut self.streams.get_mut(&stream.0).unwrap().ways[usize::from(at_client)];
                    assert!(!way.fin_received);
                    assert!(bytes.iter().zip(way.received..).all(|(byte, at)| *byte == (at % 251) as u8));
                    way.received += bytes.len();
                    way.held += bytes.len();
                    assert!(way.received <= way.sent && way.held <= 4 << 20);
                }
                CircuitEvent::Fin(stream) => {
                    let way = &mut self.streams.get_mut(&stream.0).unwrap().ways[usize::from(at_client)];
                    assert!(way.fin_sent && way.received == way.sent);
                    way.fin_received = true;
                }
                CircuitEvent::Reset { stream, .. } => assert!(self.streams[&stream.0].reset),
                CircuitEvent::Writable(stream) => {
                    assert!(end.room(stream) > 0 || self.streams[&stream.0].reset);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn pick(streams: &mut BTreeMap<u32, Known>, which: usize) -> Option<(StreamId, &mut Known)> {
    let count = streams.len();
    let (stream, known) = streams.iter_mut().nth(which % count.max(1))?;
    Some((StreamId(*stream), known))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn bytes_arrive_whole_and_in_order_within_their_windows(
        narrow in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let terms = if narrow {
            CircuitTerms { stream_window: 3000, circuit_window: 9000, ..CircuitTerms::default() }
        } else {
            CircuitTerms::default()
        };
        let mut world = World { pair: Pair::new(terms), streams: BTreeMap::new() };
        for step in &steps {
            world.run(step);
        }
        for _ in 0..400 {
            for which in 0..world.streams.len() {
                world.run(&Step::Consume { at_client: true, which });
                world.run(&Step::Consume { at_client: false, which });
            }
            world.pair.settle();
            world.look(true);
            world.look(false);
            world.run(&Step::Wait(1));
        }
        for known in world.streams.values().filter(|known| !known.reset) {
            prop_assert!(known.open);
            for way in &known.ways {
                prop_assert_eq!(way.received, way.sent);
                prop_assert_eq!(way.fin_received, way.fin_sent);
            }
        }
        let live = world
            .streams
            .values()
            .filter(|known| !known.reset && !known.ways.iter().all(|way| way.fin_sent))
            .count();
        prop_assert_eq!((world.pair.client.streams(), world.pair.exit.streams()), (live, live));
        prop_assert_eq!((world.pair.client.queued, world.pair.exit.queued), (0, 0));
        prop_assert_eq!(world.pair.client.streams.len(), live);
        prop_assert_eq!(world.pair.exit.streams.len(), live);
        prop_assert_eq!(world.pair.client.receive.held() + world.pair.exit.receive.held(), 0);
    }
}
