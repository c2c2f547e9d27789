//! A reverse proxy on localhost that holds the HubSpot credential so that nothing else has to.
//!
//! The map, in the order in which imports may point (down, never up).

pub mod cli;
pub mod server;
pub mod admin;
pub mod sandbox;
pub mod pipeline;
pub mod accounts;
pub mod credential;
pub mod oauth;
pub mod upstream;
pub mod store;
pub mod telemetry;
pub mod config;
pub mod deadline;
pub mod private;
pub mod types;
