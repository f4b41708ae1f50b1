//! What every HTTP/2 connection here is told and bounded by. One place, so that no connection is without a limit.

use h2::{client, server};

/// Streams a peer may have open at once on one connection.
const STREAMS: u32 = 128;
/// Octets of a header list, as RFC 9113 section 6.5.2 counts them.
const HEADER_LIST: u32 = 64 << 10;
/// Octets a peer may send on one stream before they were taken by the other side.
const STREAM_WINDOW: u32 = 256 << 10;
/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// Octets of content that wait on one stream for the peer's window.
pub(super) const SEND_BUFFER: usize = 64 << 10;
/// Streams that were reset here and of which frames may still come.
const RESET_STREAMS: usize = 64;
/// Streams that a peer has reset before this side saw them; with more the connection ends.
const PENDING_RESETS: usize = 64;
/// Errors of a peer's that ended a stream; with more the connection ends.
const ERROR_RESETS: usize = 256;
/// Connections to one upstream and shard: a second one when the streams of the first run out.
pub(super) const UPSTREAM_CONNECTIONS: usize = 2;

/// The settings towards clients.
pub(super) fn server() -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEADER_LIST)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(Some(ERROR_RESETS))
        .enable_connect_protocol();
    builder
}

/// The settings towards upstreams: nothing is pushed to a proxy.
pub(super) fn client() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .max_concurrent_streams(0)
        .max_header_list_size(HEADER_LIST)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(Some(ERROR_RESETS));
    builder
}
