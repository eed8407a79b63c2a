//! Disks that fill and disks that fail, under a whole server: what was answered is kept, no effect goes out without its
//! intent, and it goes on by itself or, where nobody can know what is on the disk, stops and says so. Needs root, for file
//! systems of a few MiB in a mount namespace of its own, and strace; `scripts/test` and `scripts/disk` see to both.
//! Without them these tests fail, they never skip.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod estate;
mod full;
mod node;
mod sync;
