//! What the process keeps from the system and from other users: its memory and its files hold
//! credentials. A program that it runs for a person, and a file that it writes for everybody, get back what
//! was there before.

use std::io;

#[cfg(unix)]
use rustix::fs::Mode;
#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};

/// What the process was started with.
pub struct Before {
    #[cfg(unix)]
    core: Rlimit,
    #[cfg(unix)]
    umask: Mode,
}

/// No core dumps, on Linux no other process of this user reads the memory, and what is created is for
/// this user alone. What the system does not grant is done without.
pub fn protect() -> Before {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    Before {
        #[cfg(unix)]
        core: {
            let before = getrlimit(Resource::Core);
            forbid_core_dumps(before);
            before
        },
        #[cfg(unix)]
        umask: umask(OWNER_ONLY),
    }
}

impl Before {
    /// Does something with the limit and the mask of before, such as to start a program. For as long as
    /// that takes, they hold for all of this process.
    #[cfg(unix)]
    pub fn restored<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let _ = setrlimit(Resource::Core, self.core);
        umask(self.umask);
        let outcome = act();
        umask(OWNER_ONLY);
        forbid_core_dumps(self.core);
        outcome
    }

    /// There is nothing to give back here.
    #[cfg(not(unix))]
    pub fn restored<T>(&self, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        act()
    }
}

#[cfg(unix)]
const OWNER_ONLY: Mode = Mode::from_raw_mode(0o077);

/// The hard limit stays: lowered once, a child could never have it back.
#[cfg(unix)]
fn forbid_core_dumps(before: Rlimit) {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: before.maximum });
}
