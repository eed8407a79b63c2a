//! Where actions go.
