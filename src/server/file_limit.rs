//! The process's limit of open files, which holds for sockets too.

/// Raises it as far as the system lets this user: each request in flight takes two sockets, and the
/// usual limit of 1024 is meant for programs that use `select`. Where that fails, the limit stays.
pub fn raise() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let _ = setrlimit(Resource::Nofile, raised);
    }
}
