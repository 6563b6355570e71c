//! What answers at the far ends of devices, frame by frame: the same for each backend.
//!
//! A responder has no memory. It answers what it can tell from one frame alone, whose checksums are right and which is
//! no fragment, by a frame back to the sender: with the addresses and ports swapped and a time to live of 64.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;

use etherparse::{LinkSlice, NetSlice, SlicedPacket, TcpSlice, TransportSlice};
use schemars::JsonSchema;
use serde::Deserialize;
use twinpath_pcaps::build::{EtherBody, Ethernet, Icmp, Ip, Tcp, Transport, Udp, icmpv4, icmpv6};
use twinpath_pcaps::{MacAddr, TcpFlags, dissect};

use crate::plan::{Plan, Port};
use crate::recording::{Answer, End, Journey};

/// How something behaves that frames reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Responder {
    /// Answers pings (RFC 792, RFC 4443), and sends back what UDP datagrams (RFC 862) and TCP segments carry.
    Echo,
    /// Answers TCP segments that begin with the method of an HTTP/1.1 request (RFC 9112): 200, with the body `ok`.
    Http,
    /// Answers UDP datagrams that are DNS queries with one question (RFC 1035): type A by 192.0.2.1, type AAAA by
    /// 2001:db8::1, others by no record.
    Dns,
    /// Does not answer.
    Silence,
}

/// Frames that are answered, one after another.
#[derive(Debug)]
pub struct Conversation<'a> {
    plan: &'a Plan,
    waiting: VecDeque<(Port, Vec<u8>)>,
    answers: Vec<Answer>,
}

/// Responders answer each other, and would not stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stop responders that answer each other: {MOST} answers to one frame")]
pub struct Endless;

/// So many answers does no frame have that comes to an end.
const MOST: usize = 64;

impl<'a> Conversation<'a> {
    /// Begins with what came of a frame.
    pub fn about(plan: &'a Plan, journey: &Journey) -> Self {
        let mut conversation = Self {
            plan,
            waiting: VecDeque::new(),
            answers: Vec::new(),
        };
        conversation.hear(journey);
        conversation
    }

    fn hear(&mut self, journey: &Journey) {
        let left = journey.ends.iter().filter_map(|end| match end {
            End::Left {
                node,
                device,
                bytes,
            } => {
                let (node, device) = (node.clone(), device.clone());
                Some((Port { node, device }, bytes))
            }
            End::Stack { .. } | End::Dropped { .. } => None,
        });
        let answers = left.filter_map(|(port, bytes)| {
            let responder = self.plan.responders.get(&port)?;
            Some((port, responder.answer(bytes)?))
        });
        self.waiting.extend(answers);
    }

    /// The next answer, and at which device it is to arrive.
    pub fn next_answer(&mut self) -> Option<(Port, Vec<u8>)> {
        self.waiting.pop_front()
    }

    /// Takes what came of an answer.
    ///
    /// # Errors
    /// When there is no end to them.
    pub fn answered(
        &mut self,
        port: Port,
        bytes: Vec<u8>,
        journey: Journey,
    ) -> Result<(), Endless> {
        if self.answers.len() == MOST {
            return Err(Endless);
        }
        self.hear(&journey);
        self.answers.push(Answer {
            port,
            bytes,
            journey,
        });
        Ok(())
    }

    /// All answers, in order.
    pub fn into_answers(self) -> Vec<Answer> {
        self.answers
    }
}

impl Responder {
    /// The answer to a frame, if there is one.
    pub fn answer(self, frame: &[u8]) -> Option<Vec<u8>> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let Some(LinkSlice::Ethernet2(link)) = &packet.link else {
            return None;
        };
        let (source, destination) = ends(packet.net.as_ref()?)?;
        if !packet.link_exts.is_empty() || !dissect::wrong_checksums(frame).is_empty() {
            return None;
        }
        let body = self.body(packet.transport.as_ref()?)?;
        let answer = Ethernet {
            source: MacAddr(link.destination()),
            destination: MacAddr(link.source()),
            ..Ethernet::new(EtherBody::Ip(Ip::new(destination, source, body)?))
        };
        answer.to_bytes().ok()
    }

    fn body(self, asked: &TransportSlice<'_>) -> Option<Transport> {
        match asked {
            TransportSlice::Icmpv4(icmp) if self == Self::Echo => {
                let request = (icmp.type_u8(), icmp.code_u8()) == (8, 0);
                request.then(|| ping(icmpv4::echo_reply, icmp.bytes5to8(), icmp.payload()))
            }
            TransportSlice::Icmpv6(icmp) if self == Self::Echo => {
                let request = (icmp.type_u8(), icmp.code_u8()) == (128, 0);
                request.then(|| ping(icmpv6::echo_reply, icmp.bytes5to8(), icmp.payload()))
            }
            TransportSlice::Udp(udp) => {
                let payload = match self {
                    Self::Echo => udp.payload().to_vec(),
                    Self::Dns => dns(udp.payload())?,
                    Self::Http | Self::Silence => return None,
                };
                let (from, to) = (udp.destination_port(), udp.source_port());
                Some(Transport::Udp(Udp::new(from, to, payload)))
            }
            TransportSlice::Tcp(tcp) => self.segment(tcp).map(Transport::Tcp),
            _ => None,
        }
    }

    /// A segment that acknowledges all of another one. A bare acknowledgement and a reset have no answer.
    fn segment(self, asked: &TcpSlice<'_>) -> Option<Tcp> {
        let data = asked.payload();
        let begins = asked.syn() && !asked.ack();
        if asked.rst() || !(begins || asked.fin() || !data.is_empty()) {
            return None;
        }
        let payload = match self {
            Self::Echo => data.to_vec(),
            Self::Http if is_request(data) => RESPONSE.to_vec(),
            Self::Http => Vec::new(),
            Self::Dns | Self::Silence => return None,
        };
        let mut flags = TcpFlags::ACK;
        if begins {
            flags = flags | TcpFlags::SYN;
        } else if asked.fin() {
            flags = flags | TcpFlags::FIN;
        }
        if !payload.is_empty() {
            flags = flags | TcpFlags::PSH;
        }
        let counted = data.len() as u32 + u32::from(asked.syn()) + u32::from(asked.fin());
        Some(Tcp {
            // What the other end says that it has is where this one goes on.
            sequence: if begins {
                FIRST
            } else {
                asked.acknowledgment_number()
            },
            acknowledgement: asked.sequence_number().wrapping_add(counted),
            payload,
            ..Tcp::new(asked.destination_port(), asked.source_port(), flags)
        })
    }
}

/// The first sequence number of connections.
const FIRST: u32 = 1000;
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Source and destination of a packet that is no fragment.
fn ends(net: &NetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        NetSlice::Ipv4(ip) if !ip.is_payload_fragmented() => {
            let header = ip.header();
            Some((
                header.source_addr().into(),
                header.destination_addr().into(),
            ))
        }
        NetSlice::Ipv6(ip) if !ip.is_payload_fragmented() => {
            let header = ip.header();
            Some((
                header.source_addr().into(),
                header.destination_addr().into(),
            ))
        }
        _ => None,
    }
}

fn ping(reply: fn(u16, u16, Vec<u8>) -> Icmp, [a, b, c, d]: [u8; 4], data: &[u8]) -> Transport {
    let (id, sequence) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Transport::Icmp(reply(id, sequence, data.to_vec()))
}

fn is_request(data: &[u8]) -> bool {
    let methods: [&[u8]; 5] = [b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE "];
    methods.iter().any(|method| data.starts_with(method))
}

/// The response to a query with one question; none to anything else.
fn dns(query: &[u8]) -> Option<Vec<u8>> {
    const HEADER: usize = 12;
    const RESPONSE: u8 = 0x80;
    const RECURSION_AVAILABLE: u8 = 0x80;
    const TTL: [u8; 4] = 60u32.to_be_bytes();
    let (header, rest) = query.split_first_chunk::<HEADER>()?;
    let [id @ .., flags, _, 0, 1, _, _, _, _, _, _] = header else {
        return None;
    };
    let is_query = flags & (RESPONSE | 0x78) == 0;
    let question = rest.get(..name_len(rest)? + 4).filter(|_| is_query)?;
    let address: &[u8] = match question[question.len() - 4..] {
        [0, 1, 0, 1] => &[192, 0, 2, 1],
        [0, 28, 0, 1] => &[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        _ => &[],
    };
    let count = u8::from(!address.is_empty());
    let mut answer = id.to_vec();
    answer.extend([
        flags | RESPONSE,
        RECURSION_AVAILABLE,
        0,
        1,
        0,
        count,
        0,
        0,
        0,
        0,
    ]);
    answer.extend_from_slice(question);
    if count == 1 {
        // The name is that of the question, whose type and class follow it there.
        answer.extend([0xc0, HEADER as u8]);
        answer.extend_from_slice(&question[question.len() - 4..]);
        answer.extend(TTL);
        answer.extend([0, address.len() as u8]);
        answer.extend_from_slice(address);
    }
    Some(answer)
}

/// Bytes of a name that is not compressed.
fn name_len(bytes: &[u8]) -> Option<usize> {
    const LONGEST_LABEL: u8 = 63;
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            label @ 1..=LONGEST_LABEL => at += 1 + usize::from(label),
            _ => return None,
        }
    }
}

impl fmt::Display for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Echo => "echo",
            Self::Http => "http",
            Self::Dns => "dns",
            Self::Silence => "silence",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use twinpath_pcaps::text;

    #[test]
    fn frames_are_answered_or_not() {
        use Responder::{Dns, Echo, Http, Silence};
        let none = "none";
        let cases = [
            (
                Echo,
                "icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 3",
                "10.0.0.2 > 10.0.0.1 icmp echo reply",
            ),
            (Echo, "icmp 10.0.0.1 > 10.0.0.2 echo-reply id 7 seq 3", none),
            (
                Echo,
                "icmp [fd00::1] > [fd00::2] echo id 7",
                "fd00::2 > fd00::1 icmp6 echo reply",
            ),
            (
                Echo,
                "udp 10.0.0.1:5 > 10.0.0.2:7 len 9",
                "10.0.0.2:7 > 10.0.0.1:5 udp",
            ),
            (Echo, "udp 10.0.0.1:5 > 10.0.0.2:7 csum bad", none),
            (Echo, "udp 10.0.0.1:5 > 10.0.0.2:7 len 9 vlan 3", none),
            (
                Echo,
                "tcp 10.0.0.1:5 > 10.0.0.2:7 SYN seq 41",
                "10.0.0.2:7 > 10.0.0.1:5 tcp SYN,ACK",
            ),
            (
                Http,
                "tcp [fd00::1]:5 > [fd00::2]:80 FIN,ACK",
                "[fd00::2]:80 > [fd00::1]:5 tcp FIN,ACK",
            ),
            (Http, "tcp 10.0.0.1:5 > 10.0.0.2:7 ACK", none),
            (Http, "tcp 10.0.0.1:5 > 10.0.0.2:7 RST", none),
            (Http, "udp 10.0.0.1:5 > 10.0.0.2:7 len 9", none),
            (Dns, "udp 10.0.0.1:5 > 10.0.0.2:53 len 40", none),
            (Silence, "tcp 10.0.0.1:5 > 10.0.0.2:7 SYN", none),
        ];
        for (responder, asked, expected) in cases {
            let frame = text::frame(asked).unwrap_or_else(|error| panic!("{asked}: {error}"));
            let answer = responder.answer(&frame);
            let told = answer.as_deref().map_or(none.to_owned(), dissect::summary);
            assert!(told.starts_with(expected), "{responder} {asked}: {told}");
            let wrong = answer.as_deref().map(dissect::wrong_checksums);
            assert!(wrong.unwrap_or_default().is_empty(), "{asked}");
        }
    }

    #[test]
    fn names_are_looked_up() {
        let query = |kind: u8| {
            let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            query.extend(b"\x03web\x00");
            query.extend([0, kind, 0, 1]);
            query
        };
        let answer = dns(&query(1)).unwrap_or_default();
        assert_eq!(
            answer[..12],
            [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]
        );
        assert_eq!(
            answer[21..],
            [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]
        );
        assert_eq!(
            dns(&query(28)).map(|answer| answer.len()),
            Some(21 + 12 + 16)
        );
        assert_eq!(dns(&query(15)).map(|answer| answer[7]), Some(0));
        for len in 0..query(1).len() {
            assert_eq!(dns(&query(1)[..len]), None);
        }
        assert_eq!(dns(&answer), None);
    }
}
