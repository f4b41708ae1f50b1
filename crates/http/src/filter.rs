//! The seam for what changes the content of an answer on its way: a service may ask for one filter an answer.
//!
//! Without a filter nothing here is touched: bytes leave from the buffer they were read into, or are spliced. With one,
//! content goes through it in pieces and leaves in chunks of our own (RFC 9112 section 7.1), or until the close. Not
//! here: the flow (`h1/body`), what filters there are (`reverse`).

/// Turns the content of one answer into other content, piece by piece. It runs on the shard, so a piece must take less
/// than a millisecond: pieces have at most 16 KiB, and others have their turn after each.
pub trait BodyFilter {
    /// Takes a piece and appends to `out` what comes of it already. What it keeps for later is bounded.
    ///
    /// # Errors
    /// [`FilterFailed`]: the answer ends here, and not as if it were whole.
    fn take(&mut self, content: &[u8], out: &mut Vec<u8>) -> Result<(), FilterFailed>;

    /// Appends what was kept: the upstream pauses, and the client is to have all that there is.
    ///
    /// # Errors
    /// [`FilterFailed`], as above.
    fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), FilterFailed>;

    /// Appends what was kept and the end. Called once, at the end of content that is whole; never for one that broke off.
    ///
    /// # Errors
    /// [`FilterFailed`], as above.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), FilterFailed>;
}

/// A filter cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content could not be changed")]
pub struct FilterFailed;
