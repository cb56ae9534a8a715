//! The actions that are used, each pinned by the commit that its release tag names: a tag can be moved, a commit cannot.

/// An action at one commit.
#[derive(Clone, Copy, Debug)]
pub struct Action {
    /// `owner/repository@commit`.
    pub pin: &'static str,
    /// The release that the commit is.
    pub release: &'static str,
}

/// Checks out the repository.
pub const CHECKOUT: Action = Action {
    pin: "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
    release: "v7.0.1",
};

/// Installs Go and keeps its caches.
pub const SETUP_GO: Action = Action {
    pin: "actions/setup-go@b7ad1dad31e06c5925ef5d2fc7ad053ef454303e",
    release: "v7.0.0",
};

/// Keeps cargo's caches.
pub const RUST_CACHE: Action = Action {
    pin: "Swatinem/rust-cache@6323deb102c322ba6fcbdcafc7e3dddab59af2b6",
    release: "v2.9.2",
};

/// Exchanges the job's OIDC token for credentials of a role.
pub const AWS_CREDENTIALS: Action = Action {
    pin: "aws-actions/configure-aws-credentials@e6de054238d6b7531b4efff3b6587d9aade6a06c",
    release: "v6.2.3",
};

/// Keeps files of a run.
pub const UPLOAD_ARTIFACT: Action = Action {
    pin: "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f",
    release: "v7.0.0",
};
