//! A look at a store without a change of it: for whoever finds out what is wrong.

use std::path::Path;

use super::{SqliteStore, file, soundness};
use crate::config::SecretRef;
use crate::store::StoreError;

/// Whether the file at `path` is a sound store of this program, for this user alone. True when the next
/// start brings its schema up to date. Changes nothing.
pub async fn look(path: &Path) -> Result<bool, StoreError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    file::refuse_exposed(folder.unwrap_or(Path::new(".")))?;
    file::refuse_exposed(path)?;
    soundness::is_behind(path).await
}

impl SqliteStore {
    /// Whether it can be written: begins to, and leaves it at that.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let begun = self.0.begin().await?;
        // What was begun ends when the connection goes back.
        drop(begun);
        Ok(())
    }

    /// Where its key is; `None` while nothing has been encrypted.
    pub async fn key_place(&self) -> Result<Option<SecretRef>, StoreError> {
        let mut connection = self.0.connection().await?;
        let (id, remembered) = self.0.key_id(&mut connection).await?;
        match id {
            None => Ok(None),
            Some(_) => self.0.place.known(remembered),
        }
    }
}
