//! Words, strings and signs.

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;

use super::error::{TextError, TextProblem};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub span: Range<usize>,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything without blanks and signs.
    Word,
    /// The bytes of a string in quotes.
    String(Vec<u8>),
    /// `>`
    Arrow,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// The tokens of `text`. Blanks separate them; so do the signs, which need none.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, TextError> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        let kind = match first {
            _ if first.is_whitespace() => continue,
            '>' => Kind::Arrow,
            '{' => Kind::Open,
            '}' => Kind::Close,
            '"' => Kind::String(string(text, start, &mut chars)?),
            _ => {
                while chars.next_if(|(_, next)| is_word(*next)).is_some() {}
                Kind::Word
            }
        };
        let end = chars.peek().map_or(text.len(), |(end, _)| *end);
        tokens.push(Token {
            span: start..end,
            kind,
        });
    }
    Ok(tokens)
}

fn is_word(char: char) -> bool {
    !char.is_whitespace() && !matches!(char, '>' | '{' | '}' | '"')
}

/// The rest of a string whose opening quote is at `start`.
fn string(
    text: &str,
    start: usize,
    chars: &mut Peekable<CharIndices<'_>>,
) -> Result<Vec<u8>, TextError> {
    let mut bytes = Vec::new();
    while let Some((at, next)) = chars.next() {
        match next {
            '"' => return Ok(bytes),
            '\\' => bytes.push(escape(text, at, chars)?),
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(expected(text, start..text.len(), "a closing \" at its end"))
}

/// What stands behind the backslash at `at`.
fn escape(text: &str, at: usize, chars: &mut Peekable<CharIndices<'_>>) -> Result<u8, TextError> {
    let byte = match chars.next().map(|(_, char)| char) {
        Some('n') => Some(b'\n'),
        Some('r') => Some(b'\r'),
        Some('t') => Some(b'\t'),
        Some('0') => Some(0),
        Some('\\') => Some(b'\\'),
        Some('"') => Some(b'"'),
        Some('x') => {
            let mut digit = || chars.next().and_then(|(_, char)| char.to_digit(16));
            digit()
                .zip(digit())
                .map(|(high, low)| (high * 16 + low) as u8)
        }
        _ => None,
    };
    let end = chars.peek().map_or(text.len(), |(end, _)| *end);
    byte.ok_or_else(|| expected(text, at..end, r#"one of \n \r \t \0 \\ \" \xNN"#))
}

fn expected(text: &str, span: Range<usize>, expected: &str) -> TextError {
    let found = format!("`{}`", &text[span.clone()]);
    let problem = TextProblem::Expected {
        expected: expected.to_owned(),
        found,
    };
    TextError::new(text, span, problem)
}
