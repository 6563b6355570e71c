//! Values of global variables as a person writes them on a command line.

use serde::Deserialize;

use crate::scenario::{Bytes, EncodeError};

/// Why a text is no value for a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobalError {
    /// Other bytes than the variable has.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Something else.
    #[error(
        "`{text}` is no value: expected a number, or bytes such as '\"0a00\"', '{{ be16 = 80 }}' or a list of them"
    )]
    Text {
        /// What was found.
        text: String,
    },
}

/// The bytes of a value for a variable of a size: `7`, `-1`, `0x1f`, `true`, or bytes as scenarios have them.
///
/// # Errors
/// When the text is neither, or has another size.
pub fn global(text: &str, size: usize) -> Result<Vec<u8>, GlobalError> {
    let text = text.trim();
    if let Some(number) = number(text) {
        return Ok(Bytes::Number(number).encode(size, |_| None)?);
    }
    #[derive(Deserialize)]
    struct Value {
        value: Bytes,
    }
    let wrong = |_| GlobalError::Text {
        text: text.to_owned(),
    };
    let Value { value } = toml::from_str(&format!("value = {text}")).map_err(wrong)?;
    Ok(value.encode(size, |_| None)?)
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
            assert_eq!(global(text, bytes.len()).as_deref(), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn others_are_refused() {
        for (text, size, message) in [
            ("256", 1, "256 does not fit: expected a number of 1 bytes"),
            ("-129", 1, "-129 does not fit"),
            ("1", 12, "1 does not fit: expected a number of 12 bytes"),
            ("{ be16 = 80 }", 4, "the value has 2 bytes: expected 4"),
            ("seven", 4, "`seven` is no value: expected a number"),
            ("{ device = \"eth0\" }", 4, "no device is named `eth0`"),
            ("", 4, "`` is no value"),
        ] {
            let error = global(text, size).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
