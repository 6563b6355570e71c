//! The colours of reports. Written with escape sequences; the stream takes them out where they do not belong.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// All is well.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something is wrong.
pub const BAD: Style = AnsiColor::Red.on_default().bold();
/// The first side of a difference.
pub const LEFT: Style = AnsiColor::Cyan.on_default();
/// The second side of a difference.
pub const RIGHT: Style = AnsiColor::Yellow.on_default();
/// What can be skipped.
pub const FAINT: Style = Style::new().dimmed();

/// A text in a style.
pub struct Styled<T>(pub Style, pub T);

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.render())?;
        self.1.fmt(f)?;
        write!(f, "{}", self.0.render_reset())
    }
}
