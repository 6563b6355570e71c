//! Names in a packet's text, in place of addresses: `tcp frontend:40000 > backend:8080 SYN`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use twinpath_control::Endpoint;
use twinpath_control::population::Population;
use twinpath_pcaps::MacAddr;

use crate::scenario::error::Problem;

use super::network::Network;

/// Heads of frames that say with a 6 which addresses names stand for.
const IPV6_HEADS: [&str; 5] = ["tcp6", "udp6", "ip6", "vxlan6", "ipip6"];

/// The one that the text of frames has itself.
const ICMP6: &str = "icmp6";

/// Words before an IPv4 address.
const BEFORE_IPV4: [&str; 2] = ["who-has", "tell"];

/// Who has which addresses.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Vec<IpAddr>>);

/// A packet's text with addresses in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub text: String,
    /// Whose name stands where the packet comes from.
    pub sender: Option<String>,
    /// What stands in the text for what, in order: places of the old text and of the new.
    changes: Vec<(Range<usize>, Range<usize>)>,
}

/// A word where an address is expected.
enum Word<'a> {
    Address(IpAddr),
    /// With what follows it: a colon and a port, or nothing.
    Name(&'a str, &'a str),
    /// What the reader of frames complains of, or an Ethernet address.
    Other,
}

impl Names {
    /// The names of endpoints, pods and nodes.
    pub fn new(network: &Network, endpoints: &[Endpoint], population: &Population) -> Self {
        let mut names = Self::default();
        for node in &network.nodes {
            let nets = node.devices.iter().flat_map(|device| &device.addresses);
            let addresses = nets.map(|net| net.addr()).filter(|ip| !is_link_local(*ip));
            names.add(node.name.as_str(), addresses);
        }
        for (name, pod) in &network.pods {
            names.add(name, pod.addresses.iter().copied());
        }
        for node in &population.nodes {
            names.add(&node.name, node.addresses.iter().copied());
        }
        for pod in &population.pods {
            names.add(&pod.to_string(), pod.addresses.iter().copied());
            if population.pod(&pod.name).is_ok() {
                names.add(&pod.name, pod.addresses.iter().copied());
            }
        }
        for endpoint in endpoints {
            let v4 = endpoint.ipv4.map(IpAddr::V4);
            let v6 = endpoint.ipv6.map(IpAddr::V6);
            names.add(&endpoint.name, v4.into_iter().chain(v6));
        }
        names
    }

    fn add(&mut self, name: &str, addresses: impl Iterator<Item = IpAddr>) {
        let mut addresses = addresses.peekable();
        if addresses.peek().is_some() {
            self.0.insert(name.to_owned(), addresses.collect());
        }
    }

    /// The text with the addresses of those whom it names; or the place of a name that is nobody's. Between two names
    /// IPv4 is spoken if both have it, and IPv6 with a head such as `tcp6`; beside an address, its family.
    pub fn resolve(&self, text: &str) -> Result<Named, (Range<usize>, Problem)> {
        let words = words(text);
        let mut named = Named::default();
        let mut changes: Vec<(Range<usize>, String)> = Vec::new();
        let word = |index: usize| words.get(index).map(|span| &text[span.clone()]);
        for (index, span) in words.iter().enumerate() {
            match &text[span.clone()] {
                ">" if index > 0 => {
                    let sides = [index - 1, index + 1];
                    let found = sides.map(|side| word(side).map_or(Word::Other, Word::read));
                    let head = index.checked_sub(2).and_then(word).unwrap_or_default();
                    let ipv6 = self.is_ipv6(&found, head);
                    if named.sender.is_none()
                        && changes.is_empty()
                        && let Word::Name(name, _) = found[0]
                        && words[..index].iter().all(|span| &text[span.clone()] != "{")
                    {
                        named.sender = Some(name.to_owned());
                    }
                    if IPV6_HEADS.contains(&head) && ipv6 {
                        let head = words[index - 2].clone();
                        changes.push((head.end - 1..head.end, String::new()));
                    }
                    for (side, word) in sides.into_iter().zip(found) {
                        self.replace(words.get(side), &word, ipv6, &mut changes)?;
                    }
                }
                before if BEFORE_IPV4.contains(&before) => {
                    let found = word(index + 1).map_or(Word::Other, Word::read);
                    self.replace(words.get(index + 1), &found, false, &mut changes)?;
                }
                _ => {}
            }
        }
        let mut done = 0;
        for (old, new) in changes {
            named.text += &text[done..old.start];
            let start = named.text.len();
            named.text += &new;
            done = old.end;
            named.changes.push((old, start..named.text.len()));
        }
        named.text += &text[done..];
        Ok(named)
    }

    fn is_ipv6(&self, sides: &[Word<'_>; 2], head: &str) -> bool {
        let literal = sides.iter().find_map(|side| match side {
            Word::Address(address) => Some(address.is_ipv6()),
            _ => None,
        });
        let ipv4 = |side: &Word<'_>| match side {
            Word::Name(name, _) => {
                let addresses = self.0.get(*name);
                addresses.is_none_or(|addresses| addresses.iter().any(IpAddr::is_ipv4))
            }
            _ => true,
        };
        let said = head == ICMP6 || IPV6_HEADS.contains(&head);
        literal.unwrap_or_else(|| said || !sides.iter().all(ipv4))
    }

    fn replace(
        &self,
        span: Option<&Range<usize>>,
        word: &Word<'_>,
        ipv6: bool,
        changes: &mut Vec<(Range<usize>, String)>,
    ) -> Result<(), (Range<usize>, Problem)> {
        let (Some(span), Word::Name(name, rest)) = (span, word) else {
            return Ok(());
        };
        // Where nobody has a name, the reader of frames says what it expects.
        if self.0.is_empty() {
            return Ok(());
        }
        let place = span.start..span.start + name.len();
        let Some(addresses) = self.0.get(*name) else {
            let known = self.0.keys().map(String::as_str);
            return Err((place, Problem::unknown("pod or node", name, known)));
        };
        let address = addresses.iter().find(|ip| ip.is_ipv6() == ipv6);
        let text = match address {
            Some(IpAddr::V6(ip)) if !rest.is_empty() => format!("[{ip}]{rest}"),
            Some(ip) => format!("{ip}{rest}"),
            None => {
                let family = if ipv6 { "IPv6" } else { "IPv4" };
                let problem = Problem::new(
                    format!("`{name}` has no {family} address"),
                    "expected both ends of one family",
                );
                return Err((place, problem));
            }
        };
        changes.push((span.clone(), text));
        Ok(())
    }
}

impl Named {
    /// The place in the text before that a place in the text with addresses stands for.
    pub fn place(&self, span: Range<usize>) -> Range<usize> {
        self.before(span.start, false)..self.before(span.end, true)
    }

    fn before(&self, offset: usize, end: bool) -> usize {
        let mut before = offset;
        for (old, new) in &self.changes {
            if offset >= new.end {
                before = old.end + (offset - new.end);
            } else if offset >= new.start {
                return if end { old.end } else { old.start };
            }
        }
        before
    }
}

impl<'a> Word<'a> {
    fn read(word: &'a str) -> Self {
        let bare = word.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let socket = word.parse::<SocketAddr>().map(|socket| socket.ip());
        if let Ok(address) = bare.unwrap_or(word).parse().or(socket) {
            return Self::Address(address);
        }
        let (name, rest) = match word.find(':') {
            Some(colon) => word.split_at(colon),
            None => (word, ""),
        };
        let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-./".contains(c);
        let is_name =
            name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(letter);
        if is_name && word.parse::<MacAddr>().is_err() && !rest[rest.len().min(1)..].contains(':') {
            Self::Name(name, rest)
        } else {
            Self::Other
        }
    }
}

pub(super) fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// Places of words and of signs; what stands in quotes is neither.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        match first {
            _ if first.is_whitespace() => continue,
            '"' => {
                while let Some((_, next)) = chars.next() {
                    match next {
                        '"' => break,
                        '\\' => drop(chars.next()),
                        _ => {}
                    }
                }
                continue;
            }
            '>' | '{' | '}' => {}
            _ => {
                let in_word = |c: char| !c.is_whitespace() && !">{}\"".contains(c);
                while chars.next_if(|(_, next)| in_word(*next)).is_some() {}
            }
        }
        let end = chars.peek().map_or(text.len(), |(end, _)| *end);
        words.push(start..end);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        let mut add = |name: &str, addresses: &[&str]| {
            let addresses = addresses.iter().map(|ip| ip.parse().expect("an address"));
            names.add(name, addresses);
        };
        add("web", &["10.0.0.1", "fd00::1"]);
        add("shop/db", &["10.0.0.2", "fd00::2"]);
        add("old", &["10.0.0.3"]);
        add("new", &["fd00::4"]);
        names
    }

    #[test]
    fn names_become_addresses() {
        for (text, expected) in [
            (
                "tcp web:1 > shop/db:2 SYN",
                "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN",
            ),
            (
                "tcp6 web:1>shop/db:2 SYN",
                "tcp [fd00::1]:1>[fd00::2]:2 SYN",
            ),
            ("tcp web:1 > [fd00::9]:2", "tcp [fd00::1]:1 > [fd00::9]:2"),
            ("udp 10.0.0.9:1 > web:2", "udp 10.0.0.9:1 > 10.0.0.1:2"),
            ("udp web:1 > new:2", "udp [fd00::1]:1 > [fd00::4]:2"),
            ("icmp6 web > shop/db echo", "icmp6 fd00::1 > fd00::2 echo"),
            (
                "arp who-has web tell old",
                "arp who-has 10.0.0.1 tell 10.0.0.3",
            ),
            (
                "icmp web > old time-exceeded transit quote { tcp old:1 > web:2 }",
                "icmp 10.0.0.1 > 10.0.0.3 time-exceeded transit quote { tcp 10.0.0.3:1 > 10.0.0.1:2 }",
            ),
            (
                "udp web:1 > old:2 payload \"web > x\" eth 02:00:00:00:00:01 > 0a:00:00:00:00:02",
                "udp 10.0.0.1:1 > 10.0.0.3:2 payload \"web > x\" eth 02:00:00:00:00:01 > 0a:00:00:00:00:02",
            ),
            (
                "tcp 10.0.0.1 > fd00:zz::1 SYN",
                "tcp 10.0.0.1 > fd00:zz::1 SYN",
            ),
        ] {
            let named = names().resolve(text);
            assert_eq!(named.map(|named| named.text), Ok(expected.to_owned()));
        }
    }

    #[test]
    fn nobodys_names_are_told_with_their_place() {
        for (text, name, message) in [
            ("tcp wbe:1 > old:2", "wbe", "no pod or node is named `wbe`"),
            ("tcp web:1 > db:2", "db", "no pod or node is named `db`"),
            ("tcp6 web:1 > old:2", "old", "`old` has no IPv6 address"),
            ("tcp old:1 > new:2", "old", "`old` has no IPv6 address"),
        ] {
            let (place, problem) = names().resolve(text).expect_err(text);
            assert_eq!(&text[place], name);
            assert!(format!("{problem:?}").contains(message), "{problem:?}");
        }
    }

    #[test]
    fn places_are_those_of_the_text_before() {
        let text = "tcp6 web:1 > shop/db:2 SYM ttl 3";
        let named = names().resolve(text).expect("all are known");
        assert_eq!(named.sender.as_deref(), Some("web"));
        for word in ["SYM", "3"] {
            let start = named.text.find(word).expect("it is there");
            assert_eq!(&text[named.place(start..start + word.len())], word);
        }
        let address = named.text.find("[fd00::2]").expect("it is there");
        assert_eq!(&text[named.place(address..address + 3)], "shop/db:2");
    }
}
