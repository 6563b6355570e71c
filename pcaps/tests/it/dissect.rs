//! The laws of dissection.

use proptest::prelude::*;
use twinpath_pcaps::dissect::{Field, checksums, dissect, summary};
use twinpath_pcaps::{Capture, text};

use crate::support::corpus_files;

/// Every frame of the corpus.
pub fn corpus_frames() -> Vec<Vec<u8>> {
    let captures = corpus_files();
    let frames = captures
        .iter()
        .flat_map(|path| Capture::open(path).unwrap());
    frames.map(|frame| frame.unwrap().bytes).collect()
}

fn assert_covers(frame: &[u8], fields: &[Field]) {
    let mut bit = 0;
    for field in fields {
        assert_eq!(field.bits.start, bit, "{field} of {frame:02x?}");
        assert!(field.bits.end > bit, "{field} of {frame:02x?}");
        bit = field.bits.end;
    }
    assert_eq!(bit, frame.len() * 8, "{frame:02x?}");
}

#[test]
fn the_corpus_is_covered() {
    for frame in corpus_frames() {
        assert_covers(&frame, &dissect(&frame));
    }
}

#[test]
fn every_cut_of_a_frame_is_covered() {
    for source in [
        "tcp 10.0.0.1:1 > 10.0.0.2:2 SYN mss 1460 ts 1 2 vlan 7 ipopt 94040000 len 3 pad 100",
        "udp [fd00::1]:1 > [fd00::2]:2 hopopt 0502 routing 4 0 0x00000000 dstopt 0102 frag 0.. ah 1 2 00112233",
        "icmp 10.0.0.9 > 10.0.0.1 unreachable port quote { udp 10.0.0.1:1 > 10.0.0.2:2 len 4 }",
        "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit fe80::2 at 02:00:00:00:00:01",
        "vxlan 192.0.2.1 > 192.0.2.2 vni 7 { ipip fd00::1 > fd00::2 { icmp 1.1.1.1 > 2.2.2.2 echo } }",
        "arp who-has 10.0.0.2 tell 10.0.0.1 pad 60",
        "ether 20 len 60",
    ] {
        let frame = text::frame(source).unwrap();
        for len in 0..=frame.len() {
            assert_covers(&frame[..len], &dissect(&frame[..len]));
            let _ = summary(&frame[..len]);
        }
    }
}

/// Tunnels in tunnels, deeper than anybody follows.
#[test]
fn depth_is_bounded() {
    let mut frame = vec![0; 12];
    frame.extend_from_slice(&[0x81, 0x00, 0x00, 0x07].repeat(1000));
    let fields = dissect(&frame);
    assert_covers(&frame, &fields);
    assert_eq!(fields.last().unwrap().name, "payload");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn random_bytes_are_covered(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        kind in prop::option::of(prop::sample::select(vec![0x0800u16, 0x86dd, 0x0806, 0x8100, 0x88a8])),
        protocol in prop::option::of(prop::sample::select(vec![0u8, 1, 4, 6, 17, 41, 43, 44, 51, 58, 60])),
    ) {
        let mut bytes = bytes;
        // Steered, so that the headers further in are reached.
        if let (Some(kind), true) = (kind, bytes.len() > 60) {
            bytes[12..14].copy_from_slice(&kind.to_be_bytes());
            if let Some(protocol) = protocol {
                match kind {
                    0x0800 => {
                        bytes[14] = 0x45;
                        bytes[20..22].fill(0);
                        bytes[23] = protocol;
                    }
                    0x86dd => bytes[20] = protocol,
                    _ => {}
                }
            }
        }
        assert_covers(&bytes, &dissect(&bytes));
        let _ = summary(&bytes);
    }

    #[test]
    fn mutated_frames_are_covered(
        frame in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        len in prop::option::of(any::<prop::sample::Index>()),
    ) {
        thread_local! { static FRAMES: Vec<Vec<u8>> = corpus_frames(); }
        let mut bytes = FRAMES.with(|frames| frames[frame.index(frames.len())].clone());
        for (at, byte) in changes {
            let at = at.index(bytes.len().min(120));
            bytes[at] = byte;
        }
        if let Some(len) = len {
            bytes.truncate(len.index(bytes.len() + 1));
        }
        assert_covers(&bytes, &dissect(&bytes));
        let _ = summary(&bytes);
    }
}

#[test]
fn checksums_say_why_they_are_not_verified() {
    let states = |source: &str| -> Vec<String> {
        let frame = text::frame(source).unwrap();
        checksums(&frame).iter().map(ToString::to_string).collect()
    };
    let udp = "udp 10.0.0.1:1 > 10.0.0.2:2 len 16";
    assert_eq!(
        states(udp),
        ["ip.checksum: 0x66bf right", "udp.checksum: 0xb378 right"]
    );
    for (clauses, expected) in [
        ("csum none", "udp.checksum: 0x0000 absent"),
        ("csum 1", "udp.checksum: 0x0001 wrong, should be 0xb378"),
        ("cut 50", "udp.checksum: 0xb378 unverified, truncated"),
        ("iplen 1000", "udp.checksum: 0xb378 unverified, truncated"),
        ("frag 0..16", "udp.checksum: 0xb378 unverified, a fragment"),
    ] {
        let states = states(&format!("{udp} {clauses}"));
        assert_eq!(states.last().unwrap(), expected, "{clauses}");
    }
    let routed = "tcp [fd00::1]:1 > [fd00::2]:2 SYN routing 4 1 00000000";
    assert_eq!(states(routed), ["tcp.checksum: 0xb5db unverified, routed"]);
}
