//! Error numbers that only packets and sockets meet.

use twinpath_machine::Errno;

/// `EBADMSG`
pub(crate) const EBADMSG: Errno = number(74);
/// `EDESTADDRREQ`
pub(crate) const EDESTADDRREQ: Errno = number(89);
/// `ESOCKTNOSUPPORT`
pub(crate) const ESOCKTNOSUPPORT: Errno = number(94);
/// `ECONNRESET`
pub(crate) const ECONNRESET: Errno = number(104);
/// `EISCONN`
pub(crate) const EISCONN: Errno = number(106);

const fn number(number: i32) -> Errno {
    match Errno::from_raw(number) {
        Some(errno) => errno,
        None => panic!("an error number is positive"),
    }
}
