//! A Unix socket to listen on: a file that nobody but its owner can open, there for as long as
//! somebody answers.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::{BACKLOG, ListenError};

/// How long another start in the same folder is waited for.
const TRIES: usize = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// A socket that is listening; its file goes with it.
#[derive(Debug)]
pub struct SocketFile {
    pub socket: UnixListener,
    /// `None` where the file belongs to a service manager, which opened it.
    file: Option<OwnFile>,
}

#[derive(Debug)]
struct OwnFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// A socket that somebody else has opened, and whose file is left to them.
    pub fn of_another(socket: UnixListener) -> Self {
        Self { socket, file: None }
    }
}

/// Whether [`open`] would find a socket at `path` that nobody answers, which it would replace; the error is
/// why it would fail. Changes nothing.
pub fn look(path: &Path) -> Result<bool, ListenError> {
    SockAddr::unix(path).map_err(|source| ListenError::Socket { path: path.to_owned(), source })?;
    check_folder(folder_of(path))?;
    is_dead(path)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Opens the socket at `path`. One that is there already and that nobody answers is replaced.
pub fn open(path: &Path) -> Result<SocketFile, ListenError> {
    let failed = |source| ListenError::Socket { path: path.to_owned(), source };
    let folder = folder_of(path);
    check_folder(folder)?;
    // Between the look at an old socket and the new one in its place, no other start may do the
    // same: each would take the other's for dead.
    let folder = File::open(folder).map_err(failed)?;
    lock(&folder);
    remove_dead(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.set_nonblocking(true).map_err(failed)?;
    socket.bind(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
    let identity = identity(&fs::symlink_metadata(path).map_err(failed)?);
    let file = Some(OwnFile { path: path.to_owned(), identity });
    let file = SocketFile { socket: socket.into(), file };
    // Nobody can connect before `listen`, so whatever the umask allowed was of no use to anybody.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
    SockRef::from(&file.socket).listen(BACKLOG).map_err(failed)?;
    Ok(file)
}

/// Whoever can write a folder on the way can put a socket of their own in the place of ours.
fn check_folder(folder: &Path) -> Result<(), ListenError> {
    let refused = |folder: &Path, problem: String| {
        Err(ListenError::Folder { folder: folder.to_owned(), problem })
    };
    let real = match fs::canonicalize(folder) {
        Ok(real) => real,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mend = format!("does not exist: run `mkdir -m 700 {}`", folder.display());
            return refused(folder, mend);
        }
        Err(error) => return refused(folder, format!("cannot be opened: {error}")),
    };
    let own = rustix::process::geteuid().as_raw();
    for (depth, part) in real.ancestors().enumerate() {
        let metadata = match fs::metadata(part) {
            Ok(metadata) => metadata,
            Err(error) => return refused(part, format!("cannot be looked at: {error}")),
        };
        if ![0, own].contains(&metadata.uid()) {
            return refused(part, "belongs to another user: choose another folder".to_owned());
        }
        // Above, a sticky folder such as /tmp is fine: others cannot move what is ours.
        let sticky = depth > 0 && metadata.mode() & 0o1000 != 0;
        if metadata.mode() & 0o022 != 0 && !sticky {
            let mend = format!("run `chmod go-w {}`, or choose another", part.display());
            return refused(part, format!("can be written by others: {mend}"));
        }
    }
    Ok(())
}

/// Ends with `folder`. Goes on without after a while: others may be able to hold the lock for
/// ever, and then two starts at the same moment are the lesser evil.
fn lock(folder: &File) {
    for _ in 0..TRIES {
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
            Ok(()) | Err(TryLockError::Error(_)) => return,
        }
    }
}

/// Removes the socket at `path` if nobody answers it.
pub fn remove_dead(path: &Path) -> Result<(), ListenError> {
    match is_dead(path)? {
        false => Ok(()),
        true => fs::remove_file(path)
            .map_err(|source| ListenError::Socket { path: path.to_owned(), source }),
    }
}

/// Whether there is a socket that nobody answers. One that somebody answers is an error.
fn is_dead(path: &Path) -> Result<bool, ListenError> {
    let failed = |source| ListenError::Socket { path: path.to_owned(), source };
    let before = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    if !before.file_type().is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    let probe = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    // One that lives and is busy would keep us waiting otherwise.
    probe.set_nonblocking(true).map_err(failed)?;
    match probe.connect(&SockAddr::unix(path).map_err(failed)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(failed(error)),
        Ok(()) | Err(_) => Err(ListenError::SocketInUse(path.to_owned())),
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another instance may have put its own there since. The number of our file is not given
        // away while our socket is open.
        let Some(OwnFile { path, identity: own }) = &self.file else { return };
        let is_ours = fs::symlink_metadata(path).is_ok_and(|m| identity(&m) == *own);
        if is_ours {
            // What cannot be removed is found dead by the next start.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::{UnixListener, UnixStream};

    use tempfile::TempDir;

    use super::super::ListenError;
    use super::open;

    fn folder() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        folder
    }

    #[test]
    fn only_its_owner_can_open_it_and_it_goes_with_its_listener() {
        let folder = folder();
        let path = folder.path().join("proxy.sock");
        let file = open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn one_that_nobody_answers_is_replaced_and_one_that_answers_is_not() {
        let folder = folder();
        let path = folder.path().join("proxy.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let live = open(&path).unwrap();
        assert!(matches!(open(&path), Err(ListenError::SocketInUse(_))));
        UnixStream::connect(&path).unwrap();
        drop(live);
    }

    #[test]
    fn the_socket_of_another_instance_is_not_removed() {
        let folder = folder();
        let path = folder.path().join("proxy.sock");
        let first = open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let second = open(&path).unwrap();
        drop(first);
        UnixStream::connect(&path).unwrap();
        drop(second);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let folder = folder();
        let path = folder.path().join("notes");
        fs::write(&path, "kept").unwrap();
        assert!(matches!(open(&path), Err(ListenError::NotASocket(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(matches!(open(&link), Err(ListenError::NotASocket(_))));
    }

    #[test]
    fn a_folder_that_others_can_write_or_that_is_missing_is_refused() {
        let folder = folder();
        for mode in [0o720, 0o702, 0o1777] {
            fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            let error = open(&folder.path().join("proxy.sock")).unwrap_err();
            assert!(error.to_string().contains("chmod go-w"), "{error}");
        }
        let error = open(&folder.path().join("missing/proxy.sock")).unwrap_err();
        assert!(error.to_string().contains("mkdir -m 700"), "{error}");
    }
}
