//! What transmitting returns (`enum net_xmit`), which `bpf_clone_redirect` hands to programs.

use twinpath_machine::Errno;

/// `NET_XMIT_SUCCESS`
pub(crate) const SUCCESS: i64 = 0;
/// `NET_XMIT_DROP`
pub(crate) const DROP: i64 = 1;
/// `NET_XMIT_CN`
pub(crate) const CONGESTED: i64 = 2;

/// An error number as the kernel returns it.
pub(crate) fn error(errno: Errno) -> i64 {
    -i64::from(errno.get())
}
