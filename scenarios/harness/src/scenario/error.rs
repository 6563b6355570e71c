//! What can be wrong with a scenario, and how a person is told.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::Source;
use super::suggest;

/// Something wrong with a scenario file or with what it names.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// The file itself cannot be had.
    #[error("failed to read {}: {error}", path.display())]
    Read {
        /// The scenario file, or a folder of them.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A folder or a list of them holds no scenario.
    #[error("found no scenario in {}: expected files that end in .toml", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A place in the file is wrong.
    #[error(transparent)]
    Mistake(Box<Mistake>),
}

/// A mistake at a place in a scenario file.
#[derive(Debug, Clone)]
pub struct Mistake {
    /// The file.
    pub source: Arc<Source>,
    /// The bytes of it that are wrong.
    pub span: Range<usize>,
    /// What is wrong, a lowercase fragment.
    pub message: String,
    /// What was expected there; stands under the caret.
    pub expected: String,
    /// What was probably meant, or how to find out.
    pub help: Option<String>,
}

/// A mistake before its file is known; [`Problem::at`] finishes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    message: String,
    expected: String,
    help: Option<String>,
}

impl Problem {
    /// A fragment that says what is wrong, and one that says what was expected instead.
    pub fn new(message: impl Into<String>, expected: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            expected: expected.into(),
            help: None,
        }
    }

    /// A name that refers to nothing. `kind` says what should have such a name: "device", "program", ...
    pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let meant = suggest::nearest(name, known.iter().copied());
        Self {
            message: format!("no {kind} is named `{name}`"),
            expected: format!("expected {}", suggest::list(known)),
            help: meant.map(|meant| format!("did you mean `{meant}`?")),
        }
    }

    /// The same with a line that helps.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The mistake that this is at a place of a file.
    pub fn at(self, source: &Arc<Source>, span: Range<usize>) -> ScenarioError {
        ScenarioError::Mistake(Box::new(Mistake {
            source: Arc::clone(source),
            span: source.first_line(span),
            message: self.message,
            expected: self.expected,
            help: self.help,
        }))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.expected)
    }
}

impl ScenarioError {
    /// The error as a compiler would print it, with escape sequences for colour.
    /// `width` is the terminal's, in columns.
    pub fn styled(&self, width: usize) -> String {
        self.render(&Renderer::styled().term_width(width))
    }

    fn render(&self, renderer: &Renderer) -> String {
        match self {
            Self::Mistake(mistake) => mistake.render(renderer),
            other => renderer.render(&[Group::with_title(
                Level::ERROR.primary_title(other.to_string()),
            )]),
        }
    }
}

impl Mistake {
    fn render(&self, renderer: &Renderer) -> String {
        let path = self.source.path.to_string_lossy();
        let snippet = Snippet::source(&self.source.text)
            .path(path.as_ref())
            .annotation(
                AnnotationKind::Primary
                    .span(self.span.clone())
                    .label(self.expected.as_str()),
            );
        let mut group = Level::ERROR
            .primary_title(self.message.as_str())
            .element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(&Renderer::plain().decor_style(DecorStyle::Ascii)))
    }
}

impl std::error::Error for Mistake {}
