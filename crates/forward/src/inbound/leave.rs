//! Leaves a client in good order: a last message, our end, and a moment in which what it still sends is dropped.
//!
//! A bare close while bytes are unread resets the connection, and the client may never see what was said. Not here:
//! HTTP connections, which leave by themselves (`http/h1`).

use shoalway_net::deadline::Wait;
use shoalway_net::shard::Shard;
use shoalway_net::stream::Stream;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a client may still send.
const MOST: usize = 64 << 10;
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Says `farewell` and closes.
pub(crate) async fn leave(shard: &Rc<Shard>, mut stream: Stream, farewell: &[u8]) {
    let deadline = shard.deadline();
    deadline.after(LIMIT, Wait::Busy);
    // Whatever goes wrong now, the connection is over.
    drop(deadline.guard(say(&mut stream, farewell)).await);
}

async fn say(stream: &mut Stream, farewell: &[u8]) -> std::io::Result<()> {
    stream.write_all(farewell).await?;
    stream.shutdown().await?;
    let (mut dropped, mut scrap) = (0, [0; 512]);
    while dropped < MOST {
        match stream.read(&mut scrap).await? {
            0 => break,
            n => dropped += n,
        }
    }
    Ok(())
}
