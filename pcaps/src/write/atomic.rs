//! A file that is whole or not there.

use std::fs::Permissions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::WriteError;

/// A file that is written beside its place and moved there when it is whole.
///
/// Dropped before [`AtomicFile::commit`], it leaves nothing behind, and what was there before
/// stays.
pub struct AtomicFile {
    place: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Begins a file that is to be at `place`.
    pub fn create(place: impl Into<PathBuf>) -> Result<Self, WriteError> {
        let place = place.into();
        let folder = match place.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        // What the umask allows, as for any other file; a temporary file's default is 0600.
        let file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .prefix(".twinpath-")
            .tempfile_in(folder);
        match file {
            Ok(file) => Ok(Self {
                place,
                file: BufWriter::new(file),
            }),
            Err(error) => Err(WriteError::File {
                file: place,
                action: "create",
                error,
            }),
        }
    }

    /// Moves the file to its place, over what was there.
    pub fn commit(self) -> Result<(), WriteError> {
        let place = self.place;
        let fail = |action, error| WriteError::File {
            file: place.clone(),
            action,
            error,
        };
        let file = self
            .file
            .into_inner()
            .map_err(|error| fail("write", error.into_error()))?;
        file.as_file()
            .sync_data()
            .map_err(|error| fail("write", error))?;
        file.persist(&place)
            .map_err(|error| fail("replace", error.error))?;
        Ok(())
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
