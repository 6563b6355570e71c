//! Frames that Linux sends of its own accord, which no stimulus caused.

const ETHERTYPE_IPV6: [u8; 2] = [0x86, 0xdd];
const ETHERNET: usize = 14;
const IPV6: usize = 40;
const HOP_BY_HOP: u8 = 0;
const ICMPV6: u8 = 58;
/// MLD query, report and done, router solicitation, MLDv2 report (RFC 2710, 4861, 3810).
const UNSOLICITED: [u8; 5] = [130, 131, 132, 133, 143];

/// Whether a frame that a device with this address sent is a multicast listener report or a router solicitation
/// of the kernel's own. Only a device with IPv6 addresses sends these.
pub fn is_unsolicited(frame: &[u8], mac: [u8; 6]) -> bool {
    if frame.get(6..12) != Some(&mac) || frame.get(12..ETHERNET) != Some(&ETHERTYPE_IPV6) {
        return false;
    }
    reports(&frame[ETHERNET..])
}

/// Whether it is a multicast listener report on its way back to the host that sent it, a member of the group itself: it
/// has no Ethernet header (`dev_loopback_xmit`).
pub fn is_own_report(frame: &[u8]) -> bool {
    const VERSION: u8 = 6;
    const DESTINATION: usize = 24;
    const GROUP: u8 = 0xff;
    frame.first().is_some_and(|first| first >> 4 == VERSION)
        && frame.get(DESTINATION) == Some(&GROUP)
        && reports(frame)
}

/// Whether an IPv6 packet is a report or a solicitation.
fn reports(packet: &[u8]) -> bool {
    let (next, at) = match packet.get(6) {
        Some(&HOP_BY_HOP) => (packet.get(IPV6), IPV6 + 8),
        next => (next, IPV6),
    };
    next == Some(&ICMPV6)
        && packet
            .get(at)
            .is_some_and(|kind| UNSOLICITED.contains(kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    fn frame(next: u8, rest: &[u8]) -> Vec<u8> {
        let mut frame = vec![0x33, 0x33, 0, 0, 0, 0x16];
        frame.extend(MAC);
        frame.extend(ETHERTYPE_IPV6);
        frame.extend([0x60, 0, 0, 0, 0, 0, next, 1]);
        frame.extend([0; 32]);
        frame.extend(rest);
        frame
    }

    #[test]
    fn tells_chatter_from_answers() {
        let report = frame(HOP_BY_HOP, &[ICMPV6, 0, 5, 2, 0, 0, 1, 0, 143, 0]);
        assert!(is_unsolicited(&report, MAC));
        let mut looped = report[ETHERNET..].to_vec();
        assert!(!is_own_report(&looped), "it is for no group");
        looped[24] = 0xff;
        assert!(is_own_report(&looped));
        assert!(!is_own_report(&report));
        assert!(is_unsolicited(&frame(ICMPV6, &[133, 0]), MAC));
        assert!(!is_unsolicited(&report, [2, 0, 0, 0, 0, 2]));
        assert!(!is_unsolicited(&frame(ICMPV6, &[129, 0]), MAC));
        assert!(!is_unsolicited(&frame(17, &[133, 0]), MAC));
        assert!(!is_unsolicited(&report[..20], MAC));
        assert!(!is_unsolicited(&[], MAC));
    }
}
