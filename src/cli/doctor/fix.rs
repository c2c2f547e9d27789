//! What `--fix` changes, and nothing beyond it: permissions of the user's own files, and what killed
//! proxies have left.

use std::fs;
use std::io;
use std::path::Path;

use super::checks::Examined;
use super::finding::Fix;
use crate::cli::print;
use crate::server::control_plane::{ADMIN_KEY, CONTROL_SOCKET};

/// Does what the findings name, and says so; returns what was done.
pub fn all(examined: &[Examined]) -> Vec<String> {
    let findings = examined.iter().flat_map(|section| &section.findings);
    let mut fixes: Vec<&Fix> = findings.filter_map(|(_, finding)| finding.fix.as_ref()).collect();
    fixes.dedup();
    let mut done: Vec<String> = Vec::new();
    for fix in fixes {
        match apply(fix) {
            Ok(what) if done.contains(&what) => {}
            Ok(what) => {
                print::note(format!("Fixed: {what}"));
                done.push(what);
            }
            Err((what, error)) => print::note(format!("Not fixed: {what}: {error}")),
        }
    }
    done
}

fn apply(fix: &Fix) -> Result<String, (String, io::Error)> {
    let (what, outcome) = match fix {
        Fix::Mode { path, mode } => {
            (format!("chmod {mode:o} {}", path.display()), narrow(path, *mode))
        }
        Fix::DeadSocket(path) => (format!("rm {}", path.display()), remove_socket(path)),
        Fix::Leftover(folder) => (format!("rm -r {}", folder.display()), remove_leftover(folder)),
    };
    match outcome {
        Ok(()) => Ok(what),
        Err(error) => Err((what, error)),
    }
}

/// Only takes permissions away.
#[cfg(unix)]
fn narrow(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let now = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(now & mode & 0o777))
}

#[cfg(not(unix))]
fn narrow(_: &Path, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn remove_socket(path: &Path) -> io::Result<()> {
    crate::server::listener::socket_file::remove_dead(path).map_err(io::Error::other)
}

#[cfg(not(unix))]
fn remove_socket(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What the proxy itself has made there, and the folder when nothing else is in it.
fn remove_leftover(folder: &Path) -> io::Result<()> {
    // Fails where somebody answers by now.
    remove_socket(&folder.join(CONTROL_SOCKET))?;
    for name in [ADMIN_KEY, CONTROL_SOCKET] {
        match fs::remove_file(folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::remove_dir(folder)
}
