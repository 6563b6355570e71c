//! TCP's flags.

use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;

/// A set of TCP flags: the lower 12 bits of bytes 12 and 13 of the header (RFC 9293, 3.1), of
/// which the upper three are reserved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(u16);

/// In the order in which they are printed: a connection's life, then the rest.
const NAMES: [(TcpFlags, &str); 9] = [
    (TcpFlags::SYN, "SYN"),
    (TcpFlags::FIN, "FIN"),
    (TcpFlags::RST, "RST"),
    (TcpFlags::PSH, "PSH"),
    (TcpFlags::ACK, "ACK"),
    (TcpFlags::URG, "URG"),
    (TcpFlags::ECE, "ECE"),
    (TcpFlags::CWR, "CWR"),
    (TcpFlags::AE, "AE"),
];

impl TcpFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(1 << 0);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(1 << 1);
    /// Reset the connection.
    pub const RST: Self = Self(1 << 2);
    /// Push.
    pub const PSH: Self = Self(1 << 3);
    /// The acknowledgement number counts.
    pub const ACK: Self = Self(1 << 4);
    /// The urgent pointer counts.
    pub const URG: Self = Self(1 << 5);
    /// ECN echo (RFC 3168).
    pub const ECE: Self = Self(1 << 6);
    /// Congestion window reduced (RFC 3168).
    pub const CWR: Self = Self(1 << 7);
    /// Accurate ECN, formerly NS (RFC 9768).
    pub const AE: Self = Self(1 << 8);

    /// The flags of the 12 bits `bits`; higher ones are ignored.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & 0xfff)
    }

    /// The flags as 12 bits.
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Are all flags of `other` set?
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Display for TcpFlags {
    /// `SYN,ACK`; `none` when empty; reserved bits as a number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return f.write_str("none");
        }
        let mut comma = "";
        for (flag, name) in NAMES {
            if self.contains(flag) {
                write!(f, "{comma}{name}")?;
                comma = ",";
            }
        }
        match self.0 & 0xe00 {
            0 => Ok(()),
            reserved => write!(f, "{comma}{reserved:#x}"),
        }
    }
}

/// A text that names no TCP flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected TCP flags, such as SYN or SYN,ACK, of SYN FIN RST PSH ACK URG ECE CWR AE, or none"
)]
pub struct TcpFlagsError;

impl FromStr for TcpFlags {
    type Err = TcpFlagsError;

    /// The names of [`Display`](fmt::Display) in any order and case, with commas between.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.eq_ignore_ascii_case("none") {
            return Ok(Self::NONE);
        }
        text.split(',').try_fold(Self::NONE, |flags, part| {
            let known = NAMES
                .iter()
                .find(|(_, name)| part.eq_ignore_ascii_case(name));
            known.map(|(flag, _)| flags | *flag).ok_or(TcpFlagsError)
        })
    }
}
