//! Going over the tokens, with a word on what should come.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use super::error::{TextError, TextProblem};
use super::token::{Kind, Token, tokens};
use crate::build::BuildError;

/// More tunnels than anybody nests; the parser calls itself for each.
const MAX_DEPTH: usize = 16;

/// Whether an address has a port.
#[derive(Clone, Copy)]
pub(super) enum Port {
    Never,
    Always,
    /// This one, when none is written.
    Default(u16),
}

pub(super) struct Cursor<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str) -> Result<Self, TextError> {
        Ok(Self {
            text,
            tokens: tokens(text)?,
            at: 0,
            depth: 0,
        })
    }

    /// The next word, which stays.
    pub fn peek(&self) -> Option<&'t str> {
        let token = self.tokens.get(self.at)?;
        matches!(token.kind, Kind::Word).then(|| &self.text[token.span.clone()])
    }

    /// Does a closing brace or nothing come?
    pub fn at_close(&self) -> bool {
        matches!(
            self.tokens.get(self.at).map(|token| &token.kind),
            None | Some(Kind::Close)
        )
    }

    /// Where the next token is; empty at the end.
    pub fn span(&self) -> Range<usize> {
        let end = self.text.len()..self.text.len();
        self.tokens
            .get(self.at)
            .map_or(end, |token| token.span.clone())
    }

    /// Goes past the next token.
    pub fn skip(&mut self) {
        self.at += 1;
    }

    /// Goes past the word `word`, if it comes.
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.peek() == Some(word);
        if found {
            self.skip();
        }
        found
    }

    /// The word `word` must come.
    pub fn word(&mut self, word: &str) -> Result<(), TextError> {
        match self.take(word) {
            true => Ok(()),
            false => Err(self.expected(format!("`{word}`"))),
        }
    }

    pub fn arrow(&mut self) -> Result<(), TextError> {
        self.sign(&Kind::Arrow, "`>`")
    }

    pub fn open(&mut self) -> Result<(), TextError> {
        if self.depth == MAX_DEPTH {
            return Err(self.expected(format!("at most {MAX_DEPTH} braces, one in another")));
        }
        self.depth += 1;
        self.sign(&Kind::Open, "`{`")
    }

    pub fn close(&mut self) -> Result<(), TextError> {
        self.depth -= 1;
        self.sign(&Kind::Close, "`}`")
    }

    pub fn end(&self) -> Result<(), TextError> {
        match self.tokens.get(self.at) {
            None => Ok(()),
            Some(_) => Err(self.expected("the end")),
        }
    }

    fn sign(&mut self, kind: &Kind, name: &str) -> Result<(), TextError> {
        match self.tokens.get(self.at) {
            Some(token) if token.kind == *kind => {
                self.skip();
                Ok(())
            }
            _ => Err(self.expected(name)),
        }
    }

    /// A word that `parse` accepts.
    pub fn parse<T>(
        &mut self,
        expected: impl Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, TextError> {
        match self.peek().and_then(parse) {
            Some(value) => {
                self.skip();
                Ok(value)
            }
            None => Err(self.expected(expected)),
        }
    }

    /// A word that is a `T`.
    pub fn value<T: FromStr>(&mut self, expected: impl Display) -> Result<T, TextError> {
        self.parse(expected, |word| word.parse().ok())
    }

    /// A decimal or, with `0x`, hexadecimal number in `range`.
    pub fn number<T>(&mut self, range: RangeInclusive<T>) -> Result<T, TextError>
    where
        T: TryFrom<u64> + PartialOrd + Display,
    {
        let expected = format!("a number from {} to {}", range.start(), range.end());
        self.parse(expected, |word| {
            let value = match word.strip_prefix("0x") {
                Some(digits) => u64::from_str_radix(digits, 16).ok()?,
                None => word.parse().ok()?,
            };
            T::try_from(value)
                .ok()
                .filter(|value| range.contains(value))
        })
    }

    /// Bytes in hexadecimal: `0xdeadbeef`, with or without `0x`, `_` between at will.
    pub fn hex(&mut self) -> Result<Vec<u8>, TextError> {
        self.parse("bytes in hexadecimal, such as 0xdeadbeef", |word| {
            let digits: Vec<char> = word
                .strip_prefix("0x")
                .unwrap_or(word)
                .chars()
                .filter(|char| *char != '_')
                .collect();
            let pairs = digits.chunks(2);
            pairs
                .map(|pair| match pair {
                    [high, low] => Some((high.to_digit(16)? * 16 + low.to_digit(16)?) as u8),
                    _ => None,
                })
                .collect()
        })
    }

    /// Bytes as a string in quotes or in hexadecimal.
    pub fn bytes(&mut self) -> Result<Vec<u8>, TextError> {
        if let Some(Kind::String(bytes)) = self.tokens.get(self.at).map(|token| &token.kind) {
            let bytes = bytes.clone();
            self.skip();
            return Ok(bytes);
        }
        match self.peek() {
            Some(word) if word.starts_with("0x") => self.hex(),
            _ => Err(self.expected("a string in quotes, or bytes such as 0xdeadbeef")),
        }
    }

    /// An address, with or without a port; 0 stands for one that is never there.
    pub fn endpoint(&mut self, port: Port) -> Result<SocketAddr, TextError> {
        match port {
            Port::Never => self.parse("an IPv4 or IPv6 address", |word| {
                Some((parse_address(word)?, 0).into())
            }),
            Port::Always => {
                self.value("an address with a port, such as 10.0.0.1:80 or [fd00::1]:80")
            }
            Port::Default(port) => self.parse("an address, with a port or without", |word| {
                let endpoint = word.parse().ok();
                endpoint.or_else(|| Some((parse_address(word)?, port).into()))
            }),
        }
    }

    pub fn expected(&self, expected: impl Display) -> TextError {
        let span = self.span();
        let found = match &self.text[span.clone()] {
            "" => "the end".to_owned(),
            token => format!("`{token}`"),
        };
        let problem = TextProblem::Expected {
            expected: expected.to_string(),
            found,
        };
        TextError::new(self.text, span, problem)
    }

    /// What is written at `span` cannot be built.
    pub fn unbuildable(&self, span: Range<usize>, error: BuildError) -> TextError {
        TextError::new(self.text, span, error.into())
    }
}

fn parse_address(word: &str) -> Option<IpAddr> {
    let bare = word.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    match bare {
        Some(inside) => inside.parse().ok().map(IpAddr::V6),
        None => word.parse().ok(),
    }
}
