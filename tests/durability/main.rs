//! What becomes of grants when processes die, stop or meet in one store.
//!
//! A small library (`shim.c`) is preloaded into the programs under test: it kills them at a system
//! call that is named beforehand, and lets their clocks run ahead. So this runs on Linux with the
//! GNU C library alone, and needs a C compiler.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod audit;
mod full_disk;
mod kill;
mod processes;
mod two_proxies;

/// Whether the long forms are wanted: all kill points, a minute's stop, a thousand refreshes.
fn is_thorough() -> bool {
    std::env::var_os("HUBSPOT_PROXY_TEST_THOROUGHLY").is_some_and(|value| !value.is_empty())
}
