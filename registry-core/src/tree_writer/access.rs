//! What the caller of a writer answers for.

/// How a tree is opened for writing. The default refuses whenever something may be in the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Access {
    /// Who keeps others away.
    pub locking: Locking,
    /// What a server forbids that runs on the tree and is not read-only. A collector forbids everything.
    pub servers: RunningServers,
}

/// Who keeps others away from a tree that is changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Locking {
    /// The registry's lock: another repair, undo or retention that holds it is a refusal.
    #[default]
    Required,
    /// The caller: the file system keeps no locks, and nothing else changes the tree.
    ByCaller,
}

/// What a server forbids that runs on a tree and is not read-only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunningServers {
    /// Everything.
    #[default]
    Refuse,
    /// Taking something away: a repair still adds links and bytes.
    AddOnly,
    /// Nothing: the caller knows that the server is not in the way.
    Accept,
}
