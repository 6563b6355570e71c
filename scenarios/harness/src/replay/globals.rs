//! Values of global variables as a person writes them on a command line.

use serde::Deserialize;

use crate::scenario::Bytes;

/// Why a text is no value for a variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobalError {
    /// A number that the variable has no room for.
    #[error("{number} does not fit: expected a number of {size} bytes")]
    Range {
        /// The number.
        number: String,
        /// The variable's size in bytes.
        size: usize,
    },
    /// Bytes of another number than the variable has.
    #[error("the value has {found} bytes: expected {expected}")]
    Size {
        /// How many there are.
        found: usize,
        /// How many the variable has.
        expected: usize,
    },
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
        return integer(number, size).ok_or_else(|| GlobalError::Range {
            number: text.to_owned(),
            size,
        });
    }
    #[derive(Deserialize)]
    struct Value {
        value: Bytes,
    }
    let wrong = || GlobalError::Text {
        text: text.to_owned(),
    };
    let Value { value } = toml::from_str(&format!("value = {text}")).map_err(|_| wrong())?;
    let bytes = value.encode(|_| None).map_err(|_| wrong())?;
    if bytes.len() == size {
        Ok(bytes)
    } else {
        Err(GlobalError::Size {
            found: bytes.len(),
            expected: size,
        })
    }
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

/// Little-endian, if it can be read back as a number with a sign or as one without.
fn integer(number: i128, size: usize) -> Option<Vec<u8>> {
    let bits = u32::try_from(size).ok()?.checked_mul(8)?;
    if !(1..=64).contains(&bits) {
        return None;
    }
    let fits = (-(1i128 << (bits - 1))..1i128 << bits).contains(&number);
    fits.then(|| number.to_le_bytes()[..size].to_vec())
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
            ("{ device = \"eth0\" }", 4, "is no value"),
            ("", 4, "`` is no value"),
        ] {
            let error = global(text, size).expect_err(text).to_string();
            assert!(error.contains(message), "{text}: {error}");
        }
    }
}
