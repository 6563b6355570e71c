//! Error numbers that only packets meet.

use twinpath_machine::Errno;

/// `EBADMSG`
pub(crate) const EBADMSG: Errno = number(74);

const fn number(number: i32) -> Errno {
    match Errno::from_raw(number) {
        Some(errno) => errno,
        None => panic!("an error number is positive"),
    }
}
