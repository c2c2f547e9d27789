//! The service of this user, where there is one: installed, running and up to date.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::finding::Finding;
use super::subject::Subject;
use crate::cli::service::{self, Standing};

/// The service manager takes no longer: it can hang.
const LIMIT: Duration = Duration::from_secs(4);

/// `service`
pub fn service(_: &Subject) -> Finding {
    let Some(path) = service::installed() else {
        return Finding::skipped("it is not installed as a service");
    };
    let (sender, receiver) = mpsc::channel();
    // Nobody waits any more when the time is over.
    thread::spawn(move || sender.send(service::standing()));
    match receiver.recv_timeout(LIMIT) {
        Ok(Some(standing)) => of_standing(&standing),
        Ok(None) => Finding::skipped("it is not installed as a service"),
        Err(_) => Finding::warning(
            format!(
                "{} is installed, and the service manager did not answer within {} s",
                path.display(),
                LIMIT.as_secs()
            ),
            "run `hubspot-proxy service status` in a login session of yours",
        ),
    }
}

fn of_standing(standing: &Standing) -> Finding {
    let Standing { path, running, says, reachable, outdated } = standing;
    let shown = path.display();
    match (reachable, running, outdated) {
        (Err(why), ..) => Finding::warning(
            format!("{shown} is installed, and no service manager answers here: {why}"),
            "run `hubspot-proxy service status` in a login session of yours",
        ),
        (Ok(()), false, _) => Finding::failed(
            format!("{shown} is installed and does not run: {says}"),
            "run `hubspot-proxy service install`, which starts it; its log says why it ended (`journalctl --user -u hubspot-proxy`)",
        ),
        (Ok(()), true, Some(why)) => Finding::warning(
            format!("{shown} runs and is not up to date: {why}"),
            "run `hubspot-proxy service install`, which writes it anew",
        ),
        (Ok(()), true, None) => Finding::ok(format!("{shown} is installed and runs")),
    }
}
