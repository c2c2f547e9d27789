//! Where commands find this proxy, made as soon as it listens.

use std::io;

use tracing::warn;

use crate::admin::access::AdminKey;
use crate::config::Folders;
use crate::server::control_plane::RuntimeFolder;

/// Makes the folder in the first place that can have one. Without it the proxy serves all the same.
pub fn open(folders: &Folders, port: Option<u16>, key: &AdminKey) -> Option<RuntimeFolder> {
    let pid = std::process::id();
    let names = match port {
        // Another address may have the same port.
        Some(port) => vec![port.to_string(), format!("{port}-{pid}")],
        None => vec![format!("unix-{pid}")],
    };
    let mut last = io::Error::other("this platform has no folder for it");
    for runtime in folders.runtime_candidates() {
        for name in &names {
            match RuntimeFolder::create(&runtime, name, key) {
                Ok(folder) => return Some(folder),
                Err(error) => last = error,
            }
        }
    }
    warn!("`hubspot-proxy status` and the like will not find this proxy: {last}");
    None
}
