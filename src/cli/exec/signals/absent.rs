//! The stand-in for `signals` on a system without them: Ctrl-C reaches the command by itself, since it
//! shares the console, and must not end this process before it.

use std::io;

use tokio::signal::windows::{CtrlBreak, CtrlC, ctrl_break, ctrl_c};

/// Ctrl-C and Ctrl-Break.
pub struct Signals(CtrlC, CtrlBreak);

impl Signals {
    /// Must be called inside a runtime.
    pub fn install() -> io::Result<Self> {
        Ok(Self(ctrl_c()?, ctrl_break()?))
    }

    /// Waits for the next.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

/// The command has had it already.
pub fn send((): (), _: Option<u32>) {}

/// Ends the command: there is no way to ask.
pub fn ask_to_end(child: &mut tokio::process::Child) {
    // One that has ended meanwhile is what is wanted.
    let _ = child.start_kill();
}
