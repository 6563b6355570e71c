//! MAC addresses, TCP flags, times.

use proptest::prelude::*;
use twinpath_pcaps::{MacAddr, TcpFlags, Timestamp};

proptest! {
    #[test]
    fn a_mac_address_reads_as_it_prints(bytes in any::<[u8; 6]>()) {
        let mac = MacAddr(bytes);
        prop_assert_eq!(mac.to_string().parse::<MacAddr>(), Ok(mac));
    }

    #[test]
    fn flags_read_as_they_print(bits in 0..0x200u16) {
        let flags = TcpFlags::from_bits(bits);
        prop_assert_eq!(flags.to_string().parse::<TcpFlags>(), Ok(flags));
    }
}

#[test]
fn texts_that_are_no_mac_address() {
    for text in [
        "",
        "02",
        "02:00:00:00:00",
        "02:00:00:00:00:01:02",
        "02:00:00:00:00:1ff",
        "02:00:00:00:00:+1",
        "02:00:00:00:00:",
        "02-00-00-00-00-01",
    ] {
        assert!(text.parse::<MacAddr>().is_err(), "{text}");
    }
}

#[test]
fn flags_in_the_order_of_a_connection() {
    let flags = TcpFlags::ACK | TcpFlags::SYN;
    assert_eq!(flags.to_string(), "SYN,ACK");
    assert_eq!("ack,syn".parse(), Ok(flags));
    assert!("SYN,".parse::<TcpFlags>().is_err());
    assert_eq!(TcpFlags::NONE.to_string(), "none");
    assert_eq!(TcpFlags::from_bits(0xffff).bits(), 0xfff);
    assert_eq!(TcpFlags::from_bits(0x802).to_string(), "SYN,0x800");
}

#[test]
fn groups_have_addresses() {
    let mac = MacAddr::of_ipv4_group("239.129.2.3".parse().unwrap());
    assert_eq!(mac.to_string(), "01:00:5e:01:02:03");
    let mac = MacAddr::of_ipv6_group("ff02::1:ff00:80".parse().unwrap());
    assert_eq!(mac.to_string(), "33:33:ff:00:00:80");
}

#[test]
fn a_time_that_is_too_late() {
    use std::time::Duration;
    let last = Duration::from_nanos(u64::MAX);
    assert_eq!(Timestamp::try_from(last).unwrap().as_nanos(), u64::MAX);
    assert!(Timestamp::try_from(last + Duration::from_nanos(1)).is_err());
}
