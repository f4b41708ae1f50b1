//! What holds in every step, whatever happens: bounds of windows and buffers (ovl1 section 8, 9).

use super::flow::Course;
use super::world::{LineState, Speaker, World};
use shoalway_overlay_proto::link::terms::Kind;

/// What one end of a client's link keeps: 8 MiB that wait and 2 MiB that were sent and not acknowledged.
pub const CLIENT_LINK: usize = (8 + 2) * 1024 * 1024;
/// What an application has not read of one stream.
const STREAM: usize = 4 * 1024 * 1024;
/// The same of a circuit.
const CIRCUIT: usize = 8 * 1024 * 1024;

/// Panics when a bound is passed.
pub fn bounds(world: &World) {
    for line in world.lines.iter().filter(|line| line.state != LineState::Over) {
        for side in &line.sides {
            let Speaker::Link(link) = &side.speaker else { continue };
            assert!(link.circuits() <= if line.kind == Kind::Client { 256 } else { 16_384 }, "circuits");
            if line.kind == Kind::Client {
                assert!(link.buffered() <= CLIENT_LINK, "a link keeps {} bytes", link.buffered());
            }
        }
    }
    for port in world.ports.iter().filter(|port| port.is_live()) {
        let held = port.flows.values().map(|flow| {
            let flow = &world.flows[*flow];
            flow.up.held.max(flow.down.held)
        });
        assert!(held.sum::<usize>() <= CIRCUIT, "a circuit's window");
    }
    for flow in &world.flows {
        assert!(flow.up.held <= STREAM && flow.down.held <= STREAM, "a stream's window");
    }
}

/// What has not ended, for a message.
pub fn unfinished(world: &World) -> String {
    let waiting = world.flows.iter().enumerate().filter(|(_, flow)| !flow.is_over());
    let told = waiting.map(|(number, flow)| {
        let course = |course: &Course| format!("{}/{}/{}", course.got, course.sent, course.total);
        let (up, down) = (course(&flow.up), course(&flow.down));
        format!(" flow {number} of port {} up {up} down {down}", flow.client)
    });
    format!("at {:?}:{}", world.now, told.collect::<String>())
}
