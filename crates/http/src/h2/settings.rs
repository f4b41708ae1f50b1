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
/// The first of these once a stream of the connection was claimed: 1 GB/s over 4 ms.
pub(super) const CLAIMED_STREAM_WINDOW: u32 = 4 << 20;
/// And the second: the site's other streams keep what they had.
pub(super) const CLAIMED_CONNECTION_WINDOW: u32 = 8 << 20;
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

/// What a visitor says of itself, in the place of all the above: the windows of a browser (Chromium's, as of 2025). The
/// order of settings and pseudo-fields is the `h2` crate's still.
struct Face {
    header_table: u32,
    stream_window: u32,
    connection_window: u32,
    header_list: u32,
}

const FACE: Face = Face {
    header_table: 64 << 10,
    stream_window: 6 << 20,
    // 65,535 and the WINDOW_UPDATE of 15,663,105 that follows at once.
    connection_window: 15 << 20,
    header_list: 256 << 10,
};

/// The settings of a visitor, over whose connection a tunnel may be opened. Frames stay at 16 KiB, which is not said.
pub(super) fn visitor() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .header_table_size(FACE.header_table)
        .enable_push(false)
        .initial_window_size(FACE.stream_window)
        .initial_connection_window_size(FACE.connection_window)
        .max_header_list_size(FACE.header_list)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_local_error_reset_streams(Some(ERROR_RESETS));
    builder
}

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
