//! What loads.
