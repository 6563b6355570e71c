//! Standard output beside a progress bar.

use std::io::{self, Write};

use super::progress::Progress;

/// So much is gathered before it is written.
const FULL: usize = 64 << 10;

/// Standard output: what is written to it is kept until [`Screen::flush`] or until there is much of it.
pub struct Screen {
    stdout: Box<dyn Write>,
    gathered: Vec<u8>,
    /// Whether the work goes on, silently, when nobody reads the output any more.
    goes_on: bool,
    silent: bool,
}

impl Screen {
    /// Standard output, without escape sequences where they do not belong. `goes_on` when there is something
    /// to do besides writing to it.
    pub fn new(goes_on: bool) -> Self {
        Self {
            stdout: Box::new(anstream::stdout()),
            gathered: Vec::with_capacity(FULL + 4096),
            goes_on,
            silent: false,
        }
    }

    /// Where to write.
    pub const fn writer(&mut self) -> &mut Vec<u8> {
        &mut self.gathered
    }

    /// Writes what there is if it is much.
    pub fn relieve(&mut self, progress: &Progress) -> io::Result<()> {
        if self.gathered.len() < FULL {
            return Ok(());
        }
        self.flush(progress)
    }

    /// Writes what there is.
    pub fn flush(&mut self, progress: &Progress) -> io::Result<()> {
        if !self.silent && !self.gathered.is_empty() {
            let (stdout, gathered) = (&mut self.stdout, &self.gathered);
            let written =
                progress.aside(|| stdout.write_all(gathered).and_then(|()| stdout.flush()));
            match written {
                Err(error) if self.goes_on && error.kind() == io::ErrorKind::BrokenPipe => {
                    self.silent = true;
                }
                written => written?,
            }
        }
        self.gathered.clear();
        Ok(())
    }
}
