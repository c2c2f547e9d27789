//! How the last reload went, for whoever shows the state of the process.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::types::clock::WallTime;

/// The state, replaced as a whole after each reload.
pub type SharedReloadState = Arc<ArcSwap<ReloadState>>;

/// What is in force, and what is wrong with what is not.
#[derive(Clone, Debug)]
pub struct ReloadState {
    /// When the configuration in force was loaded.
    pub loaded_at: WallTime,
    pub file: Option<PathBuf>,
    /// Why the last reload was refused; `None` when it was not.
    pub last_error: Option<String>,
    /// 1 at the start, and one more with each reload that changed something.
    pub generation: u64,
}
