//! Opens connections for the control thread: futures that are `Send`, for what is rare and no client waits for.
//!
//! For authorities of certificates, collectors, lists: servers the operator configured, so neither guard nor rules
//! apply. The addresses of a name are tried one after another, each with its share of the time that is left. Not here:
//! connections for clients (`dialer.rs`), TLS.

use crate::dialer::DialError;
use crate::resolver::{ResolveError, Resolver};
use shoalway_types::{Host, Target};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

/// Opens a connection to `target` before `deadline`, resolution included. `TCP_NODELAY` is set.
///
/// # Errors
/// [`DialError`]; nothing has been sent.
///
/// # Cancel safety
/// Dropping the future closes what was begun.
pub async fn dial(resolver: &Resolver, target: &Target, deadline: Instant) -> Result<TcpStream, DialError> {
    let started = Instant::now();
    let addrs: Vec<IpAddr> = match &target.host {
        Host::Ip(ip) => vec![*ip],
        Host::Name(name) => match timeout_at(deadline, resolver.look_up(name)).await {
            Ok(answer) => answer.map_err(DialError::Resolve)?.iter().collect(),
            Err(_elapsed) => {
                let after = deadline.saturating_duration_since(started);
                return Err(DialError::Resolve(ResolveError::Timeout { after }));
            }
        },
    };
    let mut last = DialError::from_io(io::ErrorKind::NetworkUnreachable.into());
    for (tried, ip) in addrs.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addrs.len() - tried).unwrap_or(1);
        match timeout_at(Instant::now() + share, connect(SocketAddr::new(*ip, target.port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = DialError::from_io(error),
            Err(_elapsed) => last = DialError::Timeout { after: share },
        }
    }
    Err(last)
}

#[expect(clippy::disallowed_methods, reason = "the one place that connects for the control thread")]
async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
