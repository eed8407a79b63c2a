//! Wiring: what runs in one process, and how it is put together from a configuration. Decides nothing itself.

use std::net::SocketAddr;

use crate::config::{Config, StoreUrl};

/// What the command line says differently from the configuration.
#[derive(Clone, Debug, Default)]
pub struct ServeOptions {
    /// Where to listen instead.
    pub listen: Option<SocketAddr>,
    /// Where to keep things instead.
    pub store: Option<StoreUrl>,
}

/// What the demo does.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// Leave everything running at the end.
    pub keep: bool,
    /// Where to keep things; in memory where nothing is said.
    pub store: Option<StoreUrl>,
}

/// Serves until it is told to stop.
///
/// # Errors
/// What kept it from starting.
pub async fn serve(config: Config, options: ServeOptions) -> anyhow::Result<()> {
    let _ = (config, options);
    anyhow::bail!("`serve` is not part of this build")
}

/// Shows what Cordon does, against a range on this machine.
///
/// # Errors
/// What kept it from its end.
pub async fn demo(options: DemoOptions) -> anyhow::Result<()> {
    let _ = options;
    anyhow::bail!("`demo` is not part of this build")
}
