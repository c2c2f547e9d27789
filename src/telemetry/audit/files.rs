//! The files of a log: the current one, and beside it those that are full, each with the time at which it
//! was closed behind its name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::line::Line;
use crate::private;
use crate::types::clock::WallTime;

/// Where the files of a log are.
#[derive(Clone, Debug)]
pub struct Files {
    path: PathBuf,
}

impl Files {
    /// Those of the log whose current file is at `path`.
    pub fn of(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The current file.
    pub fn current(&self) -> &Path {
        &self.path
    }

    /// Those that are full, the oldest first.
    pub fn rotated(&self) -> io::Result<Vec<PathBuf>> {
        let folder = folder_of(&self.path);
        let Some(name) = self.path.file_name() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_one = |text: &str| {
                let own = name.to_str().and_then(|name| text.strip_prefix(name));
                own.and_then(|rest| rest.strip_prefix('.')).is_some_and(is_stamp)
            };
            if entry.file_name().to_str().is_some_and(is_one) {
                found.push(folder.join(entry.file_name()));
            }
        }
        // The stamps are of one form, so that their order is that of time.
        found.sort();
        Ok(found)
    }

    /// Opens the current file to add to it, made for this user alone where there is none. Refuses what is
    /// no file, or what others could write.
    pub fn open(&self) -> Result<File, String> {
        let shown = self.path.display();
        let failed = |error: io::Error| format!("audit.file {shown}: {error}");
        match fs::metadata(&self.path) {
            Ok(found) if !found.is_file() => {
                return Err(format!("audit.file {shown} is not a file"));
            }
            Ok(_) => {
                if let Some(objection) = private::objection(&self.path).map_err(failed)? {
                    return Err(format!("audit.file is not safe: {objection}"));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let folder = folder_of(&self.path);
                private::create_folder(folder).map_err(failed)?;
                drop(private::create_file(&self.path).map_err(failed)?);
                // Where it fails, the next power cut may cost the file, which then is found missing.
                let _ = private::sync_folder(folder);
            }
            Err(error) => return Err(failed(error)),
        }
        OpenOptions::new().append(true).open(&self.path).map_err(failed)
    }

    /// Takes the lock that keeps a second process from writing the same log. It ends with the file.
    pub fn lock(&self) -> Result<File, String> {
        let mut path = self.path.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let failed = |error: io::Error| format!("{}: {error}", path.display());
        let folder = folder_of(&path);
        private::create_folder(folder).map_err(failed)?;
        // Whoever can write it could put a link to another file of the user's in the log's place.
        if let Some(objection) = private::objection(folder).map_err(failed)? {
            return Err(format!("the folder of audit.file is not safe: {objection}"));
        }
        let file = private::open_file(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(fs::TryLockError::WouldBlock) => Err(format!(
                "audit.file {} is being written by another proxy: give each its own file",
                self.path.display()
            )),
            Err(fs::TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Moves the current file away, unless somebody else has. Its name comes after those of the files that
    /// are there, also where the clock was set back or a millisecond fills several files.
    pub fn set_aside(&self, now: WallTime) -> io::Result<()> {
        let latest = self.rotated()?.last().and_then(|path| time_of(path));
        let mut now = latest.map_or(now, |latest| now.max(WallTime(latest.0 + 1)));
        loop {
            let mut name = self.path.as_os_str().to_owned();
            name.push(format!(".{}", stamp(now)));
            let to = PathBuf::from(name);
            if to.exists() {
                now = WallTime(now.0 + 1);
                continue;
            }
            return match fs::rename(&self.path, &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
    }

    /// Whether the file at the path is still `file`.
    #[cfg(unix)]
    pub fn is_current(&self, file: &File) -> bool {
        use std::os::unix::fs::MetadataExt;
        let (Ok(there), Ok(open)) = (fs::metadata(&self.path), file.metadata()) else {
            return false;
        };
        (there.dev(), there.ino()) == (open.dev(), open.ino())
    }

    /// Elsewhere a file that is open cannot be moved.
    #[cfg(not(unix))]
    pub fn is_current(&self, _: &File) -> bool {
        true
    }
}

/// The first line of a file, or the second where the first is torn: the proxy may have been killed while it
/// wrote that.
pub fn first_line(path: &Path) -> Option<Line<'static>> {
    let mut reader = BufReader::new(File::open(path).ok()?);
    let mut next = || {
        let mut line = Vec::new();
        reader.read_until(b'\n', &mut line).ok()?;
        Line::parse(line.strip_suffix(b"\n")?)
    };
    next().or_else(next)
}

fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// When a full file was set aside, as its name says.
fn time_of(path: &Path) -> Option<WallTime> {
    let name = path.file_name()?.to_str()?;
    let at = name.match_indices('.').map(|(at, _)| at + 1).find(|at| is_stamp(&name[*at..]))?;
    let time: jiff::Timestamp = name[at..].parse().ok()?;
    u64::try_from(time.as_millisecond()).ok().map(WallTime)
}

/// Such as `20261125T093025.123Z`.
fn stamp(time: WallTime) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{time:.3}").replace(['-', ':'], "")
}

fn is_stamp(text: &str) -> bool {
    let digits =
        |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    let parts = text.strip_suffix('Z').and_then(|text| {
        let (date, time) = text.split_once('T')?;
        let (time, millis) = time.split_once('.')?;
        Some((date, time, millis))
    });
    parts
        .is_some_and(|(date, time, millis)| digits(date, 8) && digits(time, 6) && digits(millis, 3))
}

/// The current file of the set that `path` belongs to: itself, unless its name bears a stamp.
pub fn current_of(path: &Path) -> PathBuf {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let at = name.match_indices('.').map(|(at, _)| at).find(|at| is_stamp(&name[at + 1..]));
    at.map_or_else(|| path.to_owned(), |at| path.with_file_name(&name[..at]))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Files, current_of, is_stamp, stamp};
    use crate::types::clock::WallTime;

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_write_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let files = Files::of(&folder.path().join("audit.log"));
        drop(files.lock().unwrap());
        let open = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let refused = files.lock().unwrap_err();
        assert!(refused.contains("others can write") && refused.contains("chmod 700"), "{refused}");
    }

    #[test]
    fn a_file_comes_after_those_before_it_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::of(&folder.path().join("audit.log"));
        let times = [1_795_771_825_123, 1_795_771_825_123, 1_600_000_000_000, 1_795_771_825_124];
        for (content, time) in times.into_iter().enumerate() {
            std::fs::write(files.current(), content.to_string()).unwrap();
            files.set_aside(WallTime(time)).unwrap();
            // As `keep` does, which leaves the latest.
            let mut rotated = files.rotated().unwrap();
            let latest = rotated.pop().unwrap();
            assert_eq!(std::fs::read_to_string(&latest).unwrap(), content.to_string());
            rotated.iter().for_each(|old| std::fs::remove_file(old).unwrap());
        }
    }

    #[test]
    fn a_full_file_is_known_by_its_stamp() {
        assert_eq!(stamp(WallTime(1_795_771_825_123)), "20261127T093025.123Z");
        assert!(is_stamp("20261127T085025.123Z"));
        for no in ["lock", "1", "20261127T085025Z", "20261127T085025.123Z.gz", ""] {
            assert!(!is_stamp(no), "{no}");
        }
        let folder = tempfile::tempdir().unwrap();
        let files = Files::of(&folder.path().join("audit.log"));
        drop(files.open().unwrap());
        for at in [1_000_000_000_000, 1_000_000_000_000, 2_000_000_000_000] {
            files.set_aside(WallTime(at)).unwrap();
            drop(files.open().unwrap());
        }
        let names = files.rotated().unwrap();
        let names: Vec<_> = names.iter().map(|path| path.file_name().unwrap()).collect();
        let expected = ["20010909T014640.000Z", "20010909T014640.001Z", "20330518T033320.000Z"];
        let expected = expected.map(|stamp| std::ffi::OsString::from(format!("audit.log.{stamp}")));
        assert_eq!(names, expected);
        assert_eq!(current_of(Path::new("a/x.log.20010909T014640.000Z")), Path::new("a/x.log"));
        assert_eq!(current_of(Path::new("a/x.log")), Path::new("a/x.log"));
    }

    #[cfg(unix)]
    #[test]
    fn files_are_for_this_user_alone_and_refused_otherwise() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/audit.log");
        let files = Files::of(&path);
        let lock = files.lock().unwrap();
        assert!(Files::of(&path).lock().unwrap_err().contains("another proxy"));
        drop(lock);
        drop(files.open().unwrap());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("sub/audit.log.lock")), 0o600);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o620)).unwrap();
        assert!(files.open().unwrap_err().contains("chmod 600"));
        let folder = Files::of(folder.path());
        assert!(folder.open().unwrap_err().contains("is not a file"));
    }
}
