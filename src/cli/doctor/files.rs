//! Files and folders that hold what is private: who else can read or write them.

use std::path::{Path, PathBuf};

use super::finding::{Finding, Fix};
use super::subject::Subject;
use crate::cli::control::Standing;
use crate::config::SecretRef;

/// A place, and what others may not do there.
struct Private {
    what: &'static str,
    path: PathBuf,
    /// Permissions of others that are too many.
    forbidden: u32,
}

/// Permissions of the group and of all others.
const WRITE: u32 = 0o022;
const ANY: u32 = 0o077;

/// `file-modes`
pub fn modes(subject: &Subject) -> Vec<Finding> {
    let all = places(subject);
    let mut wrong: Vec<Finding> = all.iter().filter_map(objection).collect();
    if wrong.is_empty() {
        let count = all.iter().filter(|place| place.path.exists()).count();
        wrong.push(Finding::ok(match count {
            0 => "there is no file yet".to_owned(),
            count => format!("files and folders that are safe from others: {count}"),
        }));
    }
    wrong
}

fn places(subject: &Subject) -> Vec<Private> {
    let at = |what, path: &Path, forbidden| Private { what, path: path.to_owned(), forbidden };
    let given = &subject.given;
    let mut all = Vec::new();
    if let Some(path) = &given.file {
        // One that others can write does not load; one that they can read holds no secret.
        all.push(at("the configuration file", path, WRITE));
        // Whoever can write the folder can put another file in its place.
        all.extend(
            path.parent().map(|parent| at("the folder of the configuration file", parent, WRITE)),
        );
    }
    all.extend(given.folders.config.iter().map(|path| at("the configuration folder", path, WRITE)));
    if let Some(store) = &subject.store.path {
        all.extend(store.parent().map(|parent| at("the store's folder", parent, WRITE)));
        all.push(at("the store", store, ANY));
    }
    let key = subject.store.opened().and_then(|open| open.key_place.as_ref());
    let secrets = given.secrets();
    let secrets = secrets.iter().map(|secret| ("a secret", secret.place));
    for (what, place) in key.map(|key| ("the store key", key)).into_iter().chain(secrets) {
        if let SecretRef::File(path) = place {
            all.push(at(what, path, ANY));
        }
    }
    for instance in &subject.running {
        if !matches!(instance.standing, Standing::Gone) {
            all.push(at("the folder of a proxy that runs", instance.running.folder(), ANY));
        }
    }
    all.sort_by(|one, other| one.path.cmp(&other.path));
    all.dedup_by(|one, other| one.path == other.path);
    all
}

#[cfg(unix)]
fn objection(place: &Private) -> Option<Finding> {
    use std::os::unix::fs::MetadataExt;

    let Private { what, path, forbidden } = place;
    let found = std::fs::metadata(path).ok()?;
    let shown = path.display();
    let own = rustix::process::geteuid().as_raw();
    if ![0, own].contains(&found.uid()) {
        return Some(Finding::failed(
            format!("{what}, {shown}, belongs to another user"),
            format!("run `sudo chown $(id -u) {shown}`, or choose another place for it"),
        ));
    }
    // Where a sticky bit keeps others from replacing what is not theirs, as in /tmp.
    let is_sticky = found.is_dir() && found.mode() & 0o1000 != 0;
    if found.mode() & forbidden == 0 || is_sticky {
        return None;
    }
    let can = if found.mode() & forbidden & 0o022 != 0 { "write" } else { "read" };
    let away = if *forbidden == WRITE { "go-w" } else { "go=" };
    let finding = Finding::failed(
        format!("others can {can} {what}, {shown} (mode {:o})", found.mode() & 0o777),
        format!("run `chmod {away} {shown}`, or `hubspot-proxy doctor --fix`"),
    );
    // Another user's file is not changed, nor what root keeps.
    let is_own = found.uid() == own;
    Some(if is_own {
        finding.fixed_by(Fix::Mode { path: path.clone(), mode: 0o777 & !forbidden })
    } else {
        finding
    })
}

#[cfg(not(unix))]
fn objection(_: &Private) -> Option<Finding> {
    None
}

/// `runtime-folder`
pub fn runtime_folder(subject: &Subject) -> Finding {
    let candidates = subject.given.folders.runtime_candidates();
    let Some(usable) = candidates.iter().find(|folder| is_usable(folder)) else {
        let shown: Vec<String> = candidates.iter().map(|path| path.display().to_string()).collect();
        return Finding::warning(
            format!(
                "`status` and the like will not find a proxy, since none of these can be used: {}",
                shown.join(", ")
            ),
            "make one writable for you alone (`chmod 700`), or set XDG_RUNTIME_DIR to a folder that is",
        );
    };
    Finding::ok(format!("{}", usable.display()))
}

/// Whether a folder can be made or written there, and is nobody else's.
fn is_usable(folder: &Path) -> bool {
    let Some(found) = folder.ancestors().find(|folder| folder.exists()) else { return false };
    let is_safe = matches!(crate::store::private::objection(found), Ok(None));
    // Above the folder itself others may write, as in /tmp.
    (is_safe || found != folder) && found.is_dir() && can_write(found)
}

#[cfg(unix)]
pub fn can_write(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(not(unix))]
pub fn can_write(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|found| !found.permissions().readonly())
}
