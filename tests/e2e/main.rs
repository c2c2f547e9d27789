//! The program as its users meet it: the real binary between hand-written clients and upstreams.
//!
//! Every test starts its own proxy on a port that the kernel picks, in an empty environment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod client;
mod h2_client;
mod h2_frames;
mod proxy;
mod tls;
mod upstream;
mod waiting;

mod early_answers;
mod gate;
mod hygiene;
mod http2_upstream;
mod lifecycle;
mod no_secret_leaks;
mod outbound_proxy;
mod smuggling;
mod streaming;
mod tokens;
mod upstream_faults;
