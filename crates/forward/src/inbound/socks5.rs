//! Serves a SOCKS5 client: method, log-in, request. RFC 1928, RFC 1929.
//!
//! Not here: the messages (`wire/socks5`), connecting and replying (`socks`), BIND (`bind`), datagrams
//! (`socks5_udp`).

use super::socks::{Ask, Version, Wish};
use super::{Client, bind, socks5_udp};
use crate::login::Verdict;
use crate::plan::Auth;
use shoalway_net::deadline::Wait;
use shoalway_types::Failure as _;
use shoalway_wire::socks5::address::Address;
use shoalway_wire::socks5::server::{Offered, Request, ServerError, ServerHandshake, Step};
use shoalway_wire::socks5::{Command, Login};

/// Serves one client to its end, or to the beginning of its tunnel.
pub(crate) async fn serve(client: Client) {
    let mut ask = Ask::new(client, Version::Five);
    let deadline = ask.shard.deadline();
    deadline.after(ask.forward.plan().limits.head, Wait::Busy);
    let request = match deadline.guard(handshake(&mut ask)).await {
        Ok(Ok(request)) => request,
        Ok(Err(Broken::Protocol(error))) => {
            let wish = Wish::none(Version::Five);
            let denied = matches!(error, ServerError::Denied | ServerError::NoMethod);
            let code = if denied { 407 } else { 400 };
            let farewell = error.farewell();
            let told = farewell.get(1).copied().unwrap_or_default();
            return ask.leave(wish, farewell.to_vec(), (told.into(), code), error.word());
        }
        // Too late or gone: nobody is left to be told, and nothing was asked for.
        Ok(Err(Broken::Gone)) | Err(_) => return,
    };
    drop(deadline);
    let Request { command, target } = request;
    match command {
        Command::Connect => connect(ask, &target).await,
        Command::Bind => Box::pin(bind::serve(ask, target)).await,
        Command::UdpAssociate => Box::pin(socks5_udp::serve(ask, &target)).await,
    }
}

async fn connect(ask: Ask, target: &Address) {
    // The machine refuses port 0.
    if let Some(target) = target.target() {
        ask.connect(target).await;
    }
}

enum Broken {
    Protocol(ServerError),
    Gone,
}

async fn handshake(ask: &mut Ask) -> Result<Request, Broken> {
    let offered = match &ask.forward.plan().auth {
        Auth::None => Offered::Either,
        Auth::Users { .. } => Offered::Password,
    };
    let mut machine = ServerHandshake::new(offered);
    loop {
        match machine.advance(&mut ask.talk.buf).map_err(Broken::Protocol)? {
            Step::Read => ask.talk.read().await.map_err(|_gone| Broken::Gone)?,
            Step::Send(bytes) => ask.talk.send(&bytes).await.map_err(|_gone| Broken::Gone)?,
            Step::Verify(login) => {
                let welcome = verify(ask, &login).await;
                machine.verified(welcome);
            }
            Step::Done(request) => return Ok(request),
        }
    }
}

/// Whether the log-in is good. Where nobody is asked, whatever a client offers is, and it stays nobody.
async fn verify(ask: &mut Ask, login: &Login) -> bool {
    // Whatever they are, log-ins keep flows apart.
    ask.login = Some((login.user().into(), login.password().into()));
    let Some(verdicts) = ask.forward.verdicts() else { return true };
    let Ok(user) = str::from_utf8(login.user()) else { return false };
    match verdicts.find_out(&ask.shard, user, login.password()).await {
        Verdict::Right => {
            ask.user = Some(user.into());
            true
        }
        Verdict::Wrong | Verdict::Busy => false,
    }
}
