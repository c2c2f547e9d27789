//! The program as its users meet it: the real binary between hand-written clients and upstreams.
//!
//! Every test starts its own proxy on a port that the kernel picks, in an empty environment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod broken_setups;
mod client;
mod control;
mod h2_client;
mod h2_frames;
mod home;
mod portal;
mod proxy;
mod tls;
mod upstream;
mod waiting;

mod accounts;
mod attacks;
#[cfg(unix)]
mod control_socket;
mod doctor;
mod audit;
mod dashboard;
#[cfg(unix)]
mod dashboard_login;
mod early_answers;
mod exec;
mod garbage;
mod gate;
#[cfg(unix)]
mod hostile_files;
mod hostile_http2;
#[cfg(unix)]
mod hostile_text;
mod hostile_upstream;
mod hosts;
mod http2_clients;
mod http2_messages;
mod http2_upstream;
mod hygiene;
mod isolation;
mod key_places;
mod keys;
mod lifecycle;
mod links;
mod login;
mod listeners;
mod no_secret_leaks;
mod origins;
mod outage;
mod outbound_proxy;
mod passing_through;
mod policy;
#[cfg(unix)]
mod reload;
mod replay;
mod replay_answers;
mod replay_bodies;
mod replay_http2;
mod scopes;
#[cfg(unix)]
mod service_manager;
mod smuggling;
mod stored_accounts;
mod storms;
mod streaming;
mod sunset;
mod terminal;
mod tls_upstream;
mod token_calls;
#[cfg(unix)]
mod token_information;
mod tokens;
mod unix_socket;
mod upstream_faults;
mod users;
