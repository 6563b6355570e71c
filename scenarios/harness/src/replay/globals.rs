//! Values of global variables as a person writes them on a command line.

use serde::Deserialize;

use crate::scenario::{Bytes, Located, Place, Problem};

/// Why a text is no value for a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobalError {
    /// It does not fit.
    #[error("{0}")]
    Fit(Problem),
    /// Something else.
    #[error(
        "`{text}` is no value: expected a number, or bytes such as '\"0a00\"', '{{ be16 = 80 }}' or a list of them, or members such as '{{ port = 80 }}'"
    )]
    Text {
        /// What was found.
        text: String,
    },
}

/// The bytes of a value for a variable: `7`, `-1`, `0x1f`, `true`, or as scenarios have them.
///
/// # Errors
/// When the text is neither, or does not fit the variable.
pub fn global(text: &str, place: &Place<'_>) -> Result<Vec<u8>, GlobalError> {
    let text = text.trim();
    let value = match number(text) {
        Some(number) => Located::new(Bytes::Number(number), 0..text.len()),
        None => parse(text)?,
    };
    let encoded = place.encode(&value, &|_| None);
    Ok(encoded
        .map_err(|misfit| GlobalError::Fit(misfit.problem))?
        .bytes)
}

fn parse(text: &str) -> Result<Located<Bytes>, GlobalError> {
    #[derive(Deserialize)]
    struct Value {
        value: Located<Bytes>,
    }
    let parsed = toml::from_str(&format!("value = {text}"));
    let Value { value } = parsed.map_err(|_| GlobalError::Text {
        text: text.to_owned(),
    })?;
    Ok(value)
}

fn number(text: &str) -> Option<i128> {
    match text {
        "true" => return Some(1),
        "false" => return Some(0),
        _ => {}
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let value = match digits.strip_prefix("0x") {
        Some(digits) => i128::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    let value = value.ok().filter(|value| *value >= 0)?;
    Some(if negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes_are_values() {
        for (text, bytes) in [
            ("7", &[7, 0, 0, 0][..]),
            ("0x1ff", &[0xff, 1, 0, 0]),
            ("-1", &[255; 4]),
            ("true", &[1]),
            ("255", &[255]),
            ("\"0a 00\"", &[10, 0]),
            ("{ be16 = 80 }", &[0, 80]),
            ("[{ u8 = 1 }, { ip = \"10.0.0.1\" }]", &[1, 10, 0, 0, 1]),
        ] {
            let place = Place::new("the variable", bytes.len(), None);
            assert_eq!(global(text, &place).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for (text, size, message) in [
            ("256", 1, "256 does not fit: expected a number of 1 bytes"),
            ("-129", 1, "-129 does not fit"),
            ("1", 12, "1 does not fit: expected a number of 12 bytes"),
            (
                "{ be16 = 80 }",
                4,
                "these are 2 bytes: expected 4 bytes: the size of the variable",
            ),
            ("seven", 4, "`seven` is no value: expected a number"),
            ("{ device = \"eth0\" }", 4, "no device is named `eth0`"),
            ("", 4, "`` is no value"),
        ] {
            let place = Place::new("the variable", size, None);
            let error = global(text, &place).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
