//! The user's browser, opened at a page.

use std::process::Stdio;

use super::print;
use crate::config::SECRET_VARIABLES;

/// Opens the user's browser, which gets no secret to inherit. Failure is only a word: the URL has been
/// printed.
pub fn open(url: &str) {
    let has_display = !cfg!(all(unix, not(target_os = "macos")))
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !has_display {
        return;
    }
    let opened = ::open::commands(url).into_iter().any(|mut command| {
        for secret in SECRET_VARIABLES {
            command.env_remove(secret);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().is_ok()
    });
    if !opened {
        print::note("No browser could be opened.");
    }
}
