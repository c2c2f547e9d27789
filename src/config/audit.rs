//! `[audit]`.

use std::path::PathBuf;
use std::time::Duration;

use super::layers::Layer;

/// Where the audit log is, and how much of it is kept.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    pub file: PathBuf,
    /// Bytes.
    pub max_size: u64,
    pub max_age: Duration,
    /// Full files beside the current one.
    pub keep: usize,
}

/// `None` where no file is named: the others mean nothing then.
pub(super) fn build(layer: &mut Layer) -> Option<AuditConfig> {
    let file = layer.take_path("audit.file");
    let max_size = layer.take_number("audit.max_size").unwrap_or(64 << 20);
    let max_age = layer.take_time("audit.max_age").unwrap_or(Duration::from_secs(30 * 86_400));
    let keep = layer.take_usize("audit.keep").unwrap_or(12);
    file.map(|file| AuditConfig { file, max_size, max_age, keep })
}
