//! A reverse proxy on localhost that holds the HubSpot credential so that nothing else has to.
//!
//! The map, in the order in which imports may point (down, never up).

pub mod accounts;
pub mod credential;
pub mod deadline;
pub mod oauth;
pub mod sandbox;
pub mod types;
pub mod upstream;
