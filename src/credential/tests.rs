//! The engine as a whole, with time, token endpoint and store in the test's hands.

mod bench;
mod failures;
mod faulty_store;
mod freshness;
mod log_lines;
mod outage;
mod refused;
mod schedules;
mod stored;
mod two_engines;
mod unwritable;
