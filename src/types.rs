//! Nouns without I/O, shared by every other module.

pub mod account;
pub mod client_key;
pub mod clock;
pub mod host_name;
pub mod html;
pub mod origin;
pub mod path;
pub mod policy;
pub mod refusal;
pub mod request_id;
pub mod retirement;
pub mod secret;
pub mod target;
pub mod visible;
