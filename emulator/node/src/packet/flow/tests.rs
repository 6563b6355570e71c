use super::*;

fn udp(from: u16, to: u16) -> Vec<u8> {
    let mut frame = vec![0; 42];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14] = 0x45;
    frame[23] = 17;
    frame[29] = 1;
    frame[33] = 2;
    frame[34..36].copy_from_slice(&from.to_be_bytes());
    frame[36..38].copy_from_slice(&to.to_be_bytes());
    frame
}

#[test]
fn both_directions_are_one_flow_and_ports_tell_flows_apart() {
    let forth = udp(1000, 53);
    let mut back = udp(53, 1000);
    back.swap(29, 33);
    assert_eq!(hash_frame(&forth), hash_frame(&back));
    assert_ne!(hash_frame(&forth), hash_frame(&udp(1001, 53)));
}

#[test]
fn a_tag_does_not_change_the_flow() {
    let plain = udp(1, 2);
    let mut tagged = plain.clone();
    tagged.splice(12..12, [0x81, 0, 0, 5]);
    assert_eq!(hash_frame(&plain), hash_frame(&tagged));
}

/// An Ethernet frame with a network header of zeroes but for what is set at offsets in it.
fn frame(protocol: [u8; 2], len: usize, set: &[(usize, u8)]) -> Vec<u8> {
    let mut frame = vec![0; 14 + len];
    frame[12..14].copy_from_slice(&protocol);
    for (at, byte) in set {
        frame[14 + at] = *byte;
    }
    frame
}

#[test]
fn what_tells_flows_apart() {
    const V4: [u8; 2] = [8, 0];
    const V6: [u8; 2] = [0x86, 0xdd];
    let v4 = |set: &[(usize, u8)]| frame(V4, 60, &[&[(0, 0x45)], set].concat());
    let v6 = |set: &[(usize, u8)]| frame(V6, 80, &[&[(0, 0x60)], set].concat());
    // What it is, a frame, another frame, whether both are one flow.
    let table = [
        (
            "UDP ports",
            v4(&[(9, 17), (21, 1)]),
            v4(&[(9, 17), (21, 2)]),
            false,
        ),
        (
            "ports of a fragment",
            v4(&[(7, 1), (9, 17), (21, 1)]),
            v4(&[(7, 1), (9, 17)]),
            true,
        ),
        (
            "an ESP header's SPI",
            v4(&[(9, 50), (22, 1)]),
            v4(&[(9, 50)]),
            false,
        ),
        (
            "an ICMP header",
            v4(&[(9, 1), (21, 1)]),
            v4(&[(9, 1)]),
            true,
        ),
        (
            "addresses in IP in IP",
            v4(&[(9, 4), (20, 0x45), (35, 1)]),
            v4(&[(9, 4), (20, 0x45)]),
            false,
        ),
        (
            "a GRE key",
            v4(&[(9, 47), (20, 0x20), (24, 1)]),
            v4(&[(9, 47), (20, 0x20)]),
            false,
        ),
        ("IPv6 ports", v6(&[(6, 17), (41, 1)]), v6(&[(6, 17)]), false),
        (
            "ports behind options",
            v6(&[(6, 0), (40, 17), (49, 1)]),
            v6(&[(6, 0), (40, 17)]),
            false,
        ),
        (
            "ports beside a flow label",
            v6(&[(3, 7), (6, 17), (41, 1)]),
            v6(&[(3, 7), (6, 17)]),
            true,
        ),
        (
            "flow labels",
            v6(&[(3, 7), (6, 17)]),
            v6(&[(3, 8), (6, 17)]),
            false,
        ),
        (
            "an ARP packet",
            frame([8, 6], 28, &[(7, 1)]),
            frame([8, 6], 28, &[]),
            true,
        ),
        (
            "unknown protocols",
            frame([0x12, 0x34], 28, &[]),
            frame([8, 6], 28, &[]),
            false,
        ),
    ];
    for (what, one, other, same) in table {
        assert_eq!(hash_frame(&one) == hash_frame(&other), same, "{what}");
    }
}
