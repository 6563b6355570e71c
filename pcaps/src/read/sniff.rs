//! What a stream is, told by its first bytes and never by its name.

use super::error::Problem;

/// A capture format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The classic format of tcpdump.
    Pcap,
    /// The format of Wireshark, with interfaces and comments.
    PcapNg,
}

/// Bytes that tell a format.
pub(super) const MAGIC_LEN: usize = 8;

pub(super) fn is_gzip(magic: &[u8]) -> bool {
    magic.starts_with(&[0x1f, 0x8b])
}

/// The format of the stream that begins with `magic`; a refusal by name of what it is otherwise.
pub(super) fn format(magic: &[u8]) -> Result<Format, Problem> {
    match magic {
        [] => Err(Problem::Empty),
        [0xa1, 0xb2, 0xc3, 0xd4, ..] | [0xd4, 0xc3, 0xb2, 0xa1, ..] => Ok(Format::Pcap),
        [0xa1, 0xb2, 0x3c, 0x4d, ..] | [0x4d, 0x3c, 0xb2, 0xa1, ..] => Ok(Format::Pcap),
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => Ok(Format::PcapNg),
        _ => Err(Problem::Foreign {
            found: foreign(magic),
        }),
    }
}

fn foreign(magic: &[u8]) -> String {
    const KNOWN: [(&[u8], &str); 12] = [
        (&[0x28, 0xb5, 0x2f, 0xfd], "compressed by zstd"),
        (&[0xfd, b'7', b'z', b'X', b'Z'], "compressed by xz"),
        (b"BZh", "compressed by bzip2"),
        (&[0x04, 0x22, 0x4d, 0x18], "compressed by lz4"),
        (b"PK\x03\x04", "a zip archive"),
        (&[0x1f, 0x8b], "gzip inside gzip"),
        (b"\x7fELF", "an ELF object"),
        (b"snoop\0", "a snoop capture"),
        (b"GMBU", "a Network Monitor capture"),
        (
            &[0xa1, 0xb2, 0xcd, 0x34],
            "a pcap with Kuznetzov's packet headers",
        ),
        (
            &[0x34, 0xcd, 0xb2, 0xa1],
            "a pcap with Kuznetzov's packet headers",
        ),
        (b"\xef\xbb\xbf", "text"),
    ];
    let known = KNOWN.iter().find(|(bytes, _)| magic.starts_with(bytes));
    match known {
        Some((_, name)) => (*name).to_owned(),
        None if magic.iter().all(|byte| matches!(byte, 9..=13 | 32..=126)) => "text".to_owned(),
        None => format!("begins with {magic:02x?}"),
    }
}
