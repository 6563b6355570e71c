//! A file that is whole or not there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::error::WriteError;

/// A file that is written beside its place and moved there when it is whole.
///
/// Dropped before [`AtomicFile::commit`], it leaves nothing behind, and what was there before
/// stays. A pipe or a device, which nothing can take the place of, is written to as it is; of a
/// symbolic link, what it leads to is replaced.
pub struct AtomicFile {
    place: PathBuf,
    file: BufWriter<Target>,
}

enum Target {
    Beside(NamedTempFile),
    Itself(File),
}

impl AtomicFile {
    /// Begins a file that is to be at `place`.
    pub fn create(place: impl Into<PathBuf>) -> Result<Self, WriteError> {
        let place = place.into();
        match Target::create(&place) {
            Ok((place, target)) => Ok(Self {
                place,
                file: BufWriter::new(target),
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
        let target = self
            .file
            .into_inner()
            .map_err(|error| fail("write", error.into_error()))?;
        if let Target::Beside(file) = target {
            file.as_file()
                .sync_data()
                .map_err(|error| fail("write", error))?;
            file.persist(&place)
                .map_err(|error| fail("replace", error.error))?;
        }
        Ok(())
    }
}

impl Target {
    /// Where to write, and the place that it is to take.
    fn create(place: &Path) -> io::Result<(PathBuf, Self)> {
        let place = match fs::metadata(place) {
            Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
            Ok(there) if !there.is_file() => {
                let file = OpenOptions::new().write(true).open(place)?;
                return Ok((place.to_owned(), Self::Itself(file)));
            }
            Ok(_) => {
                // Even if nobody keeps the folder from replacing a file that may not be written.
                OpenOptions::new().append(true).open(place)?;
                fs::canonicalize(place)?
            }
            Err(_) => place.to_owned(),
        };
        let folder = match place.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        fs::metadata(folder)?;
        // What the umask allows, as for any other file; a temporary file's default is 0600.
        let file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .prefix(".twinpath-")
            .tempfile_in(folder)
            .map_err(|error| plain(&error))?;
        Ok((place, Self::Beside(file)))
    }
}

/// The system's error, without the temporary file's name, which says nothing.
fn plain(error: &io::Error) -> io::Error {
    let cause = error.get_ref().and_then(|error| error.source());
    let code = cause.and_then(|cause| cause.downcast_ref::<io::Error>()?.raw_os_error());
    code.map_or_else(|| error.kind().into(), io::Error::from_raw_os_error)
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Beside(file) => file.write(bytes),
            Self::Itself(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Beside(file) => file.flush(),
            Self::Itself(file) => file.flush(),
        }
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
