//! Reads a PROXY header from a socket to its last byte and no further, so that TLS behind it finds its own first byte.
//!
//! PROXY protocol, section 2: a header is required of everybody or of nobody. Not here: deadlines, whose header is believed,
//! headers that may be read too far (`tcp_gateway/head.rs`).

use shoalway_wire::proxy_protocol::{self, Header};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// There is no header.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoHeader {
    /// The client ended, or broke, before its end.
    #[error("the client left")]
    Gone,
    /// It is wrong.
    #[error(transparent)]
    Wrong(proxy_protocol::Error),
}

/// Reads a header and keeps of it what `told` takes.
///
/// # Errors
/// [`NoHeader`]; something of the client's bytes may be consumed then.
pub(crate) async fn read<T>(
    tcp: &mut TcpStream,
    mut told: impl FnMut(&Header<'_>) -> T,
) -> Result<T, NoHeader> {
    let (mut header, mut seen) = (Vec::new(), [0; 1_024]);
    loop {
        let n = tcp.peek(&mut seen).await.map_err(|_broken| NoHeader::Gone)?;
        let fresh = seen.get(..n).filter(|fresh| !fresh.is_empty()).ok_or(NoHeader::Gone)?;
        let before = header.len();
        header.extend_from_slice(fresh);
        let (taken, length) = match proxy_protocol::decode(&header).map_err(NoHeader::Wrong)? {
            None => (None, header.len()),
            Some((parsed, length)) => (Some(told(&parsed)), length),
        };
        // Taken from the socket only as far as it is the header's: what follows is the client's.
        let due = seen.get_mut(..length.saturating_sub(before)).ok_or(NoHeader::Gone)?;
        tcp.read_exact(due).await.map_err(|_broken| NoHeader::Gone)?;
        if let Some(taken) = taken {
            return Ok(taken);
        }
    }
}
