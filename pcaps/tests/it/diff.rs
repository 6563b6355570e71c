//! Differences between frames.

use proptest::prelude::*;
use twinpath_pcaps::dissect::{FieldDiff, diff};
use twinpath_pcaps::text;

use crate::dissect::corpus_frames;

fn shown(left: &str, right: &str) -> Vec<String> {
    let [left, right] = [left, right].map(|source| text::frame(source).unwrap());
    diff(&left, &right)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn one_field() {
    let tcp = "tcp 10.0.0.1:1234 > 10.0.0.2:80 SYN csum 0 ipcsum 0";
    let cases = [
        ("", "", None),
        ("", "ttl 63", Some("ip.ttl: 64 != 63 (byte 22)")),
        ("", "df", Some("ip.flags: none != DF (byte 20)")),
        (
            "",
            "eth 02:00:00:00:00:01 > 02:00:00:00:00:0f",
            Some("eth.dst: 02:00:00:00:00:02 != 02:00:00:00:00:0f (bytes 0..6)"),
        ),
        ("vlan 7", "vlan 8", Some("vlan.id: 7 != 8 (bytes 14..16)")),
        (
            "vlan 7",
            "vlan 7 pcp 1",
            Some("vlan.priority: 0 != 1 (byte 14)"),
        ),
        (
            "payload 0x00112233445566",
            "payload 0x00112299445566",
            Some("payload: 33 at offset 3 != 99 at offset 3 (byte 57)"),
        ),
        (
            "pad 60",
            "pad 62",
            Some(
                "eth.trailer: ends after 6 bytes != 0000 at offset 6 (bytes 60..60, bytes 60..62)",
            ),
        ),
    ];
    for (left, right, expected) in cases {
        let found = shown(&format!("{tcp} {left}"), &format!("{tcp} {right}"));
        let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(found, expected);
    }
}

/// One frame has headers that the other lacks.
#[test]
fn other_headers() {
    let tcp = "tcp 10.0.0.1:1234 > 10.0.0.2:80 SYN len 4";
    let inner = "tcp 10.0.0.1:1234 > 10.0.0.2:80 SYN ttl 63 len 4";
    let cases = [
        ("a tag", tcp.to_owned(), format!("{tcp} vlan 7")),
        (
            "another tag",
            format!("{tcp} vlan 7"),
            format!("{tcp} qinq 3 vlan 7"),
        ),
        (
            "a tunnel",
            tcp.to_owned(),
            format!("vxlan 192.0.2.1 > 192.0.2.2 vni 7 {{ {inner} }}"),
        ),
        (
            "no tunnel",
            format!("ipip 192.0.2.1 > 192.0.2.2 {{ {inner} }}"),
            tcp.to_owned(),
        ),
        (
            "an extension",
            "udp [fd00::1]:1 > [fd00::2]:2".to_owned(),
            "udp [fd00::1]:1 > [fd00::2]:2 hopopt 05020000".to_owned(),
        ),
        (
            "another version",
            "udp 10.0.0.1:1 > 10.0.0.2:2".to_owned(),
            "udp [fd00::1]:1 > [fd00::2]:2".to_owned(),
        ),
        ("shorter", tcp.to_owned(), format!("{tcp} cut 40")),
        ("nothing left", tcp.to_owned(), format!("{tcp} cut 0")),
    ];
    let mut all = String::new();
    for (name, left, right) in cases {
        all += &format!("{name}\n  {left}\n  {right}\n");
        for difference in shown(&left, &right) {
            all += &format!("    {difference}\n");
        }
    }
    insta::assert_snapshot!(all);
}

proptest! {
    /// There is a difference exactly when the bytes differ, and it is the same from both sides.
    #[test]
    fn differences_are_real(
        left in any::<prop::sample::Index>(),
        right in prop::option::of(any::<prop::sample::Index>()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        len in prop::option::of(any::<prop::sample::Index>()),
    ) {
        thread_local! { static FRAMES: Vec<Vec<u8>> = corpus_frames(); }
        let pick = |index: prop::sample::Index| FRAMES.with(|frames| frames[index.index(frames.len())].clone());
        let left = pick(left);
        let mut right = right.map_or(left.clone(), pick);
        for (at, byte) in changes {
            let at = at.index(right.len());
            right[at] = byte;
        }
        if let Some(len) = len {
            right.truncate(len.index(right.len() + 1));
        }
        let forth = diff(&left, &right);
        prop_assert_eq!(forth.is_empty(), left == right);
        for FieldDiff { left: ours, right: theirs, .. } in &forth {
            prop_assert!(ours.is_some() || theirs.is_some());
            for (side, frame) in [(ours, &left), (theirs, &right)] {
                if let Some(side) = side {
                    prop_assert!(side.bytes.end <= frame.len());
                }
            }
        }
        let back = diff(&right, &left);
        prop_assert_eq!(forth.is_empty(), back.is_empty());
    }
}
