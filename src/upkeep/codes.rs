//! What `cordon explain` knows of copies that were not made.

/// The store moved elsewhere, or is not whole.
pub const NOT_SERVED: &str = "K061";
/// A backup or a store that is not what was written.
pub(super) const UNSOUND: &str = "K062";
/// The store to fill holds something else.
pub(super) const NOT_EMPTY: &str = "K063";
/// A server still works on the store.
pub(super) const IN_FORCE: &str = "K064";
/// What was filled is not what it was filled from.
pub(super) const DIFFERS: &str = "K065";
