//! Nouns without I/O, shared by every other module.

pub mod account;
pub mod clock;
pub mod origin;
pub mod secret;
