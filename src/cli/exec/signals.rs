//! The signals that are meant for the command: caught here, and sent on to it.

use std::io;

use rustix::process::{Pid, Signal as Number, getpgrp, kill_process};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is sent on. Others act on this process as ever; a stop from the keyboard (SIGTSTP) and a
/// change of the window's size (SIGWINCH) reach the command by themselves, since it shares the process
/// group.
const SENT_ON: [(Number, fn() -> SignalKind); 6] = [
    (Number::INT, SignalKind::interrupt),
    (Number::QUIT, SignalKind::quit),
    (Number::TERM, SignalKind::terminate),
    (Number::HUP, SignalKind::hangup),
    (Number::USR1, SignalKind::user_defined1),
    (Number::USR2, SignalKind::user_defined2),
];

/// The signals that are caught from the moment that this exists.
pub struct Signals(Vec<(Number, Signal)>);

impl Signals {
    /// Must be called inside a runtime. One that whoever started this process had it ignore (`nohup`, a
    /// job in the background of a script) stays so, and the command inherits that.
    pub fn install() -> io::Result<Self> {
        let ignored = ignored();
        let caught = SENT_ON.into_iter().filter(|(number, _)| !is_in(ignored, *number));
        let caught = caught.map(|(number, kind)| Ok((number, signal(kind())?)));
        caught.collect::<io::Result<_>>().map(Self)
    }

    /// Waits for the next.
    pub async fn next(&mut self) -> Number {
        std::future::poll_fn(|cx| {
            for (number, signal) in &mut self.0 {
                if signal.poll_recv(cx).is_ready() {
                    return std::task::Poll::Ready(*number);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}

/// Sends a signal on to the process `child`, unless it has had it already: what is typed at a terminal
/// goes to each process of the group in its foreground.
pub fn send(number: Number, child: Option<u32>) {
    let is_of_keyboard = [Number::INT, Number::QUIT].contains(&number);
    if is_of_keyboard && is_in_foreground() {
        return;
    }
    let child = child.and_then(|id| Pid::from_raw(id.try_into().ok()?));
    if let Some(child) = child {
        // It has not been waited for, so the id is still its own.
        let _ = kill_process(child, number);
    }
}

/// Asks the command to end.
pub fn ask_to_end(child: &mut tokio::process::Child) {
    send(Number::TERM, child.id());
}

fn is_in_foreground() -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else { return false };
    rustix::termios::tcgetpgrp(terminal).is_ok_and(|group| group == getpgrp())
}

/// The signals that this process was started to ignore, as a mask; none where the system does not tell
/// without unsafe code.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

fn is_in(mask: u64, number: Number) -> bool {
    mask & 1 << (number.as_raw() - 1) != 0
}
