//! How a tree is opened for writing: what a writer checks, and what its caller vouches for instead.

/// How a tree is opened for writing. The default refuses if another process may be at work on the tree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Who keeps other writers away.
    pub locking: Locking,
    /// What a running server that is not read-only forbids. A collector always forbids everything.
    pub servers: RunningServers,
}

/// Who keeps other writers away from a tree while it is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Locking {
    /// The registry's lock: the writer refuses while another repair, undo or retention holds it.
    #[default]
    Required,
    /// The caller, who knows that nothing else changes the tree. For file systems without locks.
    ByCaller,
}

/// What a running server that is not read-only forbids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunningServers {
    /// Everything.
    #[default]
    Refuse,
    /// Taking something away: a repair still adds links and bytes.
    AddOnly,
    /// Nothing: the caller knows that the server does no harm.
    Accept,
}
