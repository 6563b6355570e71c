//! Packets of several protocols and lengths, some of them cut off or wrong.

use std::sync::OnceLock;

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];

fn ethernet(proto: u16, payload: &[u8]) -> Vec<u8> {
    [&MACS[..], &proto.to_be_bytes(), payload].concat()
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low)));
    let mut sum: u32 = words.sum();
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn ipv4(
    proto: u8,
    source: [u8; 4],
    to: [u8; 4],
    ttl: u8,
    fragment: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend(((20 + payload.len()) as u16).to_be_bytes());
    header.extend([0x12, 0x34]);
    header.extend(fragment.to_be_bytes());
    header.extend([ttl, proto, 0, 0]);
    header.extend(source);
    header.extend(to);
    let check = sum(&header);
    header[10..12].copy_from_slice(&check.to_be_bytes());
    header.extend(payload);
    header
}

/// A TCP or UDP header and its payload with a checksum, or with 0 in its place.
fn ports(
    proto: u8,
    addresses: ([u8; 4], [u8; 4]),
    ports: (u16, u16),
    len: usize,
    checked: bool,
) -> Vec<u8> {
    let mut segment = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    let at = if proto == 6 {
        segment.extend([0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        16
    } else {
        segment.extend(((8 + len) as u16).to_be_bytes());
        segment.extend([0, 0]);
        6
    };
    segment.extend((0..len).map(|nth| (nth * 7) as u8));
    if checked {
        let mut pseudo = [addresses.0, addresses.1].concat();
        pseudo.extend([0, proto]);
        pseudo.extend((segment.len() as u16).to_be_bytes());
        pseudo.extend(&segment);
        let check = sum(&pseudo);
        segment[at..at + 2].copy_from_slice(&check.to_be_bytes());
    }
    segment
}

fn ipv6(next: u8, last: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((payload.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    packet.extend(payload);
    packet
}

/// All packets, in the order in which programs get them.
pub fn all() -> &'static [Vec<u8>] {
    static ALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    ALL.get_or_init(make)
}

fn make() -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let clients = [
        [192, 0, 2, 10],
        [192, 168, 3, 4],
        [10, 1, 2, 3],
        [203, 0, 113, 77],
    ];
    let service = [198, 51, 100, 1];
    for (number, client) in clients.into_iter().cycle().take(16).enumerate() {
        let proto = if number % 3 == 0 { 17 } else { 6 };
        let numbers = (40_000 + (number as u16 / 3) * 17, [80, 443, 53][number % 3]);
        let checked = number != 3;
        let segment = ports(proto, (client, service), numbers, number * 13, checked);
        let ip = ipv4(proto, client, service, 60 + number as u8, 0x4000, &segment);
        packets.push(ethernet(0x0800, &ip));
    }
    let (client, segment) = (
        clients[0],
        ports(17, (clients[0], service), (1, 2), 40, true),
    );
    let ip = ipv4(17, client, service, 1, 0, &segment);
    packets.push(ethernet(0x8100, &[&[0, 5, 8, 0][..], &ip].concat()));
    packets.push(ethernet(
        0x88a8,
        &[&[0, 5, 0x81, 0, 0, 6, 8, 0][..], &ip].concat(),
    ));
    packets.push(ethernet(
        0x0800,
        &ipv4(17, client, service, 64, 0x2000, &segment),
    ));
    packets.push(ethernet(
        0x0800,
        &ipv4(1, client, service, 64, 0, &[8, 0, 0, 0, 1, 2, 3, 4]),
    ));
    packets.push(ethernet(
        0x0800,
        &ipv4(47, client, service, 64, 0, &[0; 30]),
    ));
    for number in 0..4 {
        let next = [6, 17, 58, 0][number];
        packets.push(ethernet(
            0x86dd,
            &ipv6(next, number as u8 / 2, &[number as u8; 40]),
        ));
    }
    packets.push(ethernet(0x0806, &[0; 46]));
    packets.push(ethernet(0x88cc, &[1; 30]));
    packets.push(ethernet(0x0800, &ip[..18]));
    packets.push(ethernet(0x0800, &ip[..22]));
    packets.push(ethernet(0x0800, &[]));
    packets.push(ethernet(
        0x0800,
        &ipv4(17, client, service, 64, 0, &vec![7; 1200]),
    ));
    packets
}
