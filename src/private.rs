//! Files and folders that are for this user alone: made so, and refused otherwise.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder, and those above it, for this user alone. One that is there stays as it is.
pub fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let missing = path.ancestors().take_while(|folder| !folder.exists());
    let missing: Vec<&Path> = missing.collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    for parent in missing.iter().filter_map(|folder| folder.parent()) {
        // One that may be written and not read cannot be synchronised, and serves all the same.
        let _ = sync_folder(parent);
    }
    Ok(())
}

/// Makes a file that is not there yet, for this user alone.
pub fn create_file(path: &Path) -> io::Result<File> {
    options().create_new(true).open(path)
}

/// Opens a file, and makes it for this user alone where it is not there yet.
pub fn open_file(path: &Path) -> io::Result<File> {
    options().create(true).truncate(false).open(path)
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes what has been created, renamed or removed in a folder outlive a power cut.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    // Windows has no such call, and does not need it.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// What is wrong with a file or folder that others could have written, and how to mend it.
#[cfg(unix)]
pub fn objection(path: &Path) -> io::Result<Option<String>> {
    use std::os::unix::fs::MetadataExt;

    let metadata = fs::metadata(path)?;
    let own = rustix::process::geteuid().as_raw();
    let shown = path.display();
    if ![0, own].contains(&metadata.uid()) {
        return Ok(Some(format!("{shown} belongs to another user: choose another place for it")));
    }
    let mode = if metadata.is_dir() { "700" } else { "600" };
    if metadata.mode() & 0o022 != 0 {
        return Ok(Some(format!("others can write {shown}: run `chmod {mode} {shown}`")));
    }
    Ok(None)
}

/// Elsewhere what lies in the user's own folders is the user's by default.
#[cfg(not(unix))]
pub fn objection(path: &Path) -> io::Result<Option<String>> {
    fs::metadata(path).map(|_| None)
}
