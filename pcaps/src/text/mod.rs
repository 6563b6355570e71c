//! A frame in one line of text, for tests and scenario files.
//!
//! ```
//! use twinpath_pcaps::text;
//!
//! let frame = text::frame("tcp 10.0.0.1:1234 > 10.0.0.2:80 SYN ttl 3 len 20").unwrap();
//! assert_eq!(frame.len(), 14 + 20 + 20 + 20);
//!
//! let error = text::frame("tcp 10.0.0.1:1234 > 10.0.0.2 SYN").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "column 21: expected an address with a port, such as 10.0.0.1:80 or [fd00::1]:80, \
//!      found `10.0.0.2`",
//! );
//! ```
//!
//! # Grammar
//!
//! A head says what the frame is and between whom. Clauses follow, in any order unless it is told
//! otherwise. Words are separated by blanks; `>`, `{` and `}` need none.
//!
//! ```text
//! tcp  ADDRESS:PORT > ADDRESS:PORT FLAGS        tcp 10.0.0.1:1234 > 10.0.0.2:80 SYN,ACK
//! udp  ADDRESS:PORT > ADDRESS:PORT              udp [fd00::1]:53 > [fd00::2]:999
//! icmp ADDRESS > ADDRESS MESSAGE                icmp 10.0.0.1 > 10.0.0.2 echo id 1 seq 2
//! ip   ADDRESS > ADDRESS proto NUMBER           ip 10.0.0.1 > 10.0.0.2 proto 132 len 8
//! vxlan ADDRESS[:PORT] > ADDRESS[:PORT] vni NUMBER { FRAME }
//! ipip ADDRESS > ADDRESS { PACKET }             of either IP version, in either
//! arp  who-has IPV4 tell IPV4 [at MAC]
//! arp  reply IPV4 is-at MAC to IPV4 [at MAC]
//! ether TYPE                                    ether 0x88cc payload 0x0207
//! raw  BYTES                                    the whole frame, in hexadecimal
//! ```
//!
//! A FRAME in braces is any of these but `raw`; a PACKET is one of the first six, without the
//! clauses of a frame. Both addresses are of the same IP version. FLAGS are any of `SYN FIN RST
//! PSH ACK URG ECE CWR AE` with commas between, or `none`. Numbers are decimal, or hexadecimal
//! with `0x`.
//!
//! The MESSAGE of `icmp` over IPv4, and over IPv6 (where the head may be `icmp6`, too):
//!
//! ```text
//! echo [id N] [seq N]                           echo-reply [id N] [seq N]
//! unreachable net|host|proto|port|admin|N       unreachable no-route|admin|host|port|N
//! needs-frag mtu N                              too-big mtu N
//! time-exceeded transit|reassembly|N            redirect IPV4
//! neighbor-solicit IPV6 [at MAC]                neighbor-advert IPV6 [at MAC]
//! type N code N [rest N]                        any other; `rest` is bytes 4 to 7
//! ```
//!
//! An error (all but echo and neighbor-*) may go on with `quote { PACKET }`, the packet that it is
//! about, or `quote N { PACKET }`, its first N bytes.
//!
//! Clauses of a frame:
//!
//! ```text
//! eth MAC > MAC      source and destination; else 02:00:00:00:00:01 and :02, or the group's
//! vlan N [pcp N] [dei]        a tag of type 0x8100; each further one is inside
//! qinq N [pcp N] [dei]        a tag of type 0x88a8
//! pad N              zeros behind, up to N bytes in all
//! cut N              only the first N bytes
//! ```
//!
//! Clauses of IP:
//!
//! ```text
//! ttl N              time to live or hop limit; else 64
//! tos N              type of service or traffic class: the whole byte
//! frag A..B [more|last]       only this part of the IP payload; the range may lack its end.
//!                    "More fragments" is set unless B is the end, or as it is said
//! ipid N             identification; in IPv6, right after `frag`
//! df                 IPv4: don't fragment
//! ipopt HEX          IPv4: options, padded with zeros
//! ipcsum bad|none|N  IPv4: another header checksum
//! iplen N, ihl N     another length than the true one: of the packet (IPv6: the payload), of the
//!                    IPv4 header in words of 4 bytes
//! flow N             IPv6: flow label
//! hopopt HEX, dstopt HEX      IPv6: extension headers in the order of the text, as `frag` is
//! routing KIND LEFT HEX       one; options are padded
//! ah SPI SEQUENCE HEX
//! ```
//!
//! Clauses of what IP or `ether` carries:
//!
//! ```text
//! len N              N bytes of payload, which count up from 0
//! payload "TEXT"     these; with \n \r \t \0 \\ \" \xNN
//! payload 0xHEX      these
//! csum bad|none|N    tcp, udp, icmp: another checksum; `none` is 0
//! udplen N, doff N   another length than the true one: of UDP in bytes, of TCP's header in words
//! seq N, ack N, win N, urg N                    tcp
//! mss N, wscale N, sackok, ts N N               tcp: options, in the order of the text
//! ```

mod clause;
mod cursor;
mod error;
mod head;
mod icmp;
mod ip;
mod payload;
mod token;

use std::str::FromStr;

pub use error::{TextError, TextProblem};

use crate::MacAddr;
use crate::build::Ethernet;
use cursor::Cursor;

/// The bytes of the frame that `text` describes.
pub fn frame(text: &str) -> Result<Vec<u8>, TextError> {
    frame_between(
        text,
        Ethernet::DEFAULT_SOURCE,
        Ethernet::DEFAULT_DESTINATION,
    )
}

/// The bytes of the frame that `text` describes. Where it does not say so itself, the frame is between these two;
/// what is for a group goes to the group.
pub fn frame_between(
    text: &str,
    source: MacAddr,
    destination: MacAddr,
) -> Result<Vec<u8>, TextError> {
    let mut cursor = Cursor::new(text)?;
    if cursor.take("raw") {
        let bytes = cursor.hex()?;
        cursor.end()?;
        return Ok(bytes);
    }
    let span = cursor.span();
    let frame = head::frame_between(&mut cursor, source, destination)?;
    cursor.end()?;
    frame
        .to_bytes()
        .map_err(|error| cursor.unbuildable(span, error))
}

fn ethernet(cursor: &mut Cursor<'_>) -> Result<Ethernet, TextError> {
    let frame = head::frame(cursor)?;
    cursor.end()?;
    Ok(frame)
}

impl FromStr for Ethernet {
    type Err = TextError;

    /// Reads the [text form](crate::text) of a frame; all but `raw`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        ethernet(&mut Cursor::new(text)?)
    }
}
