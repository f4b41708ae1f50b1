//! Serves a SOCKS4 or SOCKS4a client.
//!
//! The user it names is claimed and not proven, so it is nobody's log-in: a listener that asks for one refuses SOCKS4.
//! Not here: the messages (`wire/socks4`), connecting and replying (`socks`).

use super::socks::{Ask, NOWHERE, Version, Wish};
use super::{Client, bind};
use crate::plan::Auth;
use shoalway_net::deadline::Wait;
use shoalway_types::Failure as _;
use shoalway_wire::socks4::server::{Request, ServerError, ServerHandshake, Step};
use shoalway_wire::socks4::{Command, Reply, encode_reply};

/// Serves one client to its end, or to the beginning of its tunnel.
pub(crate) async fn serve(client: Client) {
    let mut ask = Ask::new(client, Version::Four);
    let deadline = ask.shard.deadline();
    deadline.after(ask.forward.plan().limits.head, Wait::Busy);
    let request = match deadline.guard(handshake(&mut ask)).await {
        Ok(Ok(request)) => request,
        Ok(Err(Broken::Protocol(error))) => {
            let wish = Wish::none(Version::Four);
            let code = (u16::from(Reply::Rejected.code()), 400);
            return ask.leave(wish, error.farewell().to_vec(), code, error.word());
        }
        // Too late or gone: nobody is left to be told, and nothing was asked for.
        Ok(Err(Broken::Gone)) | Err(_) => return,
    };
    drop(deadline);
    if matches!(ask.forward.plan().auth, Auth::Users { .. }) {
        let (wish, farewell) = (Wish::none(Version::Four), encode_reply(Reply::Rejected, NOWHERE).to_vec());
        let code = (u16::from(Reply::Rejected.code()), 407);
        return ask.leave(wish, farewell, code, "login_missing");
    }
    let Request { command, target, user: _ } = request;
    match command {
        Command::Connect => ask.connect(target).await,
        Command::Bind => Box::pin(bind::serve(ask, target.into())).await,
    }
}

enum Broken {
    Protocol(ServerError),
    Gone,
}

async fn handshake(ask: &mut Ask) -> Result<Request, Broken> {
    let mut machine = ServerHandshake::new();
    loop {
        match machine.advance(&mut ask.talk.buf).map_err(Broken::Protocol)? {
            Step::Read => ask.talk.read().await.map_err(|_gone| Broken::Gone)?,
            Step::Done(request) => return Ok(request),
        }
    }
}
