//! What is wrong with a text, and where.

use std::fmt;
use std::ops::Range;

use crate::build::BuildError;

/// Why a text describes no frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The bytes of the text that are wrong; empty at its end.
    pub span: Range<usize>,
    /// The line, counted from 1.
    pub line: usize,
    /// The column of its first character in that line, counted from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: TextProblem,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextProblem {
    /// Something else should be there.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The text is fine, the frame is not.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl TextError {
    pub(super) fn new(text: &str, span: Range<usize>, problem: TextProblem) -> Self {
        let before = &text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: 1 + before.matches('\n').count(),
            column: 1 + before[line_start..].chars().count(),
            span,
            problem,
        }
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        write!(f, "column {}: {}", self.column, self.problem)
    }
}

impl std::error::Error for TextError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.problem)
    }
}
