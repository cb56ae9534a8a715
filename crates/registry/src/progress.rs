//! What a push says while it goes on, for a progress bar or a log.

use std::sync::Arc;
use std::time::Duration;

use image::Digest;

/// One step of a push. Blobs are sent side by side, so their steps are mixed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The registry has this blob already.
    BlobSkipped {
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A blob is about to be sent; after a failure, again from its beginning.
    BlobStarted {
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// So many bytes of a blob have been handed to the connection since it was started.
    BlobSent {
        /// Which blob.
        digest: Digest,
        /// Bytes so far.
        sent: u64,
        /// Its size in bytes.
        size: u64,
    },
    /// The registry has taken a blob.
    BlobDone {
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A tag names the image now.
    Tagged {
        /// The tag.
        tag: String,
        /// False when it did so before.
        changed: bool,
    },
    /// Something failed that may pass; it is tried again after a wait.
    Retrying {
        /// What failed and why.
        reason: String,
        /// How long until the next try.
        wait: Duration,
    },
}

/// The listener, shared with the bodies of requests in flight.
pub(crate) type Report = Arc<dyn Fn(Progress) + Send + Sync>;
