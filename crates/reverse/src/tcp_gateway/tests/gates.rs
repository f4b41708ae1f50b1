//! The door of a listener: when it moves, and what a client sees of it.

use super::gate::{ClosingDoor, Door, Gate, HoldingDoor, Move, close_on_all, watch};
use super::*;
use crate::upstream::Change;
use shoalway_net::listener::{self, ListenerId};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;

#[test]
fn a_gate_shuts_at_the_second_bad_look_and_opens_at_the_first_good_one() {
    let mut gate = Gate::default();
    for (healthy, moves, wanted) in [
        (true, true, Move::Stay),
        (false, true, Move::Stay),
        (true, true, Move::Stay),
        (false, true, Move::Stay),
        (false, false, Move::Shut), // the door does not move
        (false, true, Move::Shut),
        (false, true, Move::Stay),
        (true, false, Move::Open),
        (true, true, Move::Open),
        (true, true, Move::Stay),
    ] {
        let to = gate.look(healthy);
        assert_eq!(to, wanted);
        if moves {
            gate.moved(to);
        }
    }
    assert!(!gate.is_shut());
}

/// A listener in front of one echo that is drained and comes back.
struct Scene {
    upstream: Arc<Upstream>,
    world: World,
    plan: Arc<StreamPlan>,
    at: SocketAddr,
}

impl Scene {
    fn new(shard: &Rc<Shard>) -> (Self, Vec<std::net::TcpListener>) {
        let world = World::new(shard);
        let far = sockets::echo_server(shard);
        let upstream = world.upstream("app", &[&far]);
        let plan = Arc::new(world.plan(Route::One(Arc::clone(&upstream)), AcceptMode::Lazy));
        let sockets = listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let at = sockets[0].local_addr().unwrap();
        let handles = sockets.iter().map(|socket| socket.try_clone().unwrap()).collect();
        let scene = Self { upstream, world, plan, at };
        listen(&scene.plan, shard, sockets);
        (scene, handles)
    }

    fn healthy(&self, healthy: bool) {
        let key = self.upstream.set().endpoints()[0].key().clone();
        let change = if healthy { Change::Resume(key) } else { Change::Drain(key) };
        self.upstream.apply(&change, self.world.epoch().moment(Instant::now())).unwrap();
    }

    async fn works(&self) -> bool {
        let Ok(mut client) = TcpStream::connect(self.at).await else { return false };
        client.write_all(b"x").await.is_ok() && client.read_exact(&mut [0]).await.is_ok()
    }
}

fn listen(plan: &Arc<StreamPlan>, shard: &Rc<Shard>, mut sockets: Vec<std::net::TcpListener>) {
    let socket = sockets.pop().unwrap();
    shard.listen(ListenerId(1), socket, Arc::default(), plan.on(shard)).unwrap();
}

#[test]
fn a_closed_listener_refuses_and_comes_back() {
    Shard::test_in_real_time(async |shard| {
        let (scene, handles) = Scene::new(&shard);
        drop(handles);
        let (own, plan, at) = (Rc::clone(&shard), Arc::clone(&scene.plan), scene.at);
        let door = ClosingDoor {
            close: {
                let shard = Rc::clone(&shard);
                move || {
                    shard.unlisten(ListenerId(1));
                    Box::pin(std::future::ready(Ok(()))) as LocalFuture<'static, io::Result<()>>
                }
            },
            reopen: move || {
                let (plan, own) = (Arc::clone(&plan), Rc::clone(&own));
                Box::pin(async move {
                    listen(&plan, &own, listener::bind(at, 1)?);
                    Ok(())
                }) as LocalFuture<'static, io::Result<()>>
            },
        };
        shard.tasks().spawn(watch(vec![Arc::clone(&scene.upstream)], door));
        let mut open = TcpStream::connect(scene.at).await.unwrap();
        assert!(scene.works().await);
        scene.healthy(false);
        // A connection that falls into the moment of closing is reset; after that the kernel refuses.
        let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        let shut = async { while !TcpStream::connect(scene.at).await.is_err_and(refused) {} };
        tokio::time::timeout(PATIENCE, shut).await.unwrap();
        // What is open goes on.
        open.write_all(b"still").await.unwrap();
        assert_eq!(read(&mut open, 5).await, b"still");
        scene.healthy(true);
        let open_again = async { while !scene.works().await {} };
        tokio::time::timeout(PATIENCE, open_again).await.unwrap();
    });
}

#[test]
fn a_held_listener_lets_its_clients_through_later() {
    Shard::test_in_real_time(async |shard| {
        let (scene, handles) = Scene::new(&shard);
        let mut door = HoldingDoor(handles);
        assert!(scene.works().await);
        door.shut().await.unwrap();
        let held = tokio::time::timeout(Duration::from_millis(50), TcpStream::connect(scene.at)).await;
        assert!(held.is_err());
        let (late, opened) = tokio::join!(scene.works(), door.open());
        assert!(late && opened.is_ok());
        door.shut().await.unwrap();
        drop(door);
        assert!(scene.works().await);
    });
}

#[test]
fn every_shard_stops_listening() {
    let blocking = shoalway_net::blocking::Blocking::start(1).unwrap();
    let config = shoalway_net::fleet::FleetConfig {
        shards: 2,
        memory: 1 << 30,
        limits: shoalway_net::limits::Limits::default(),
        writer: None,
        blocking,
    };
    let (fleet, threads) = shoalway_net::fleet::Fleet::start(&config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        close_on_all(&fleet, ListenerId(9)).await.unwrap();
        for shard in 0..2 {
            assert!(fleet.send(shard, shoalway_net::fleet::Message::Stop).is_ok());
        }
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(runtime.block_on(close_on_all(&fleet, ListenerId(9))).is_err());
}
