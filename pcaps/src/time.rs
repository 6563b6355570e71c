//! The time of a frame.

use std::fmt;
use std::num::TryFromIntError;
use std::time::Duration;

/// A point in time: nanoseconds since 1970-01-01 00:00 UTC, up to the year 2554.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01 00:00 UTC.
    pub const EPOCH: Self = Self(0);

    /// The time `nanos` nanoseconds after [`Timestamp::EPOCH`].
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since [`Timestamp::EPOCH`].
    pub const fn as_nanos(self) -> u64 {
        self.0
    }
}

impl TryFrom<Duration> for Timestamp {
    type Error = TryFromIntError;

    /// The time `since_epoch` after [`Timestamp::EPOCH`]; an error after the year 2554.
    fn try_from(since_epoch: Duration) -> Result<Self, Self::Error> {
        since_epoch.as_nanos().try_into().map(Self)
    }
}

impl From<Timestamp> for Duration {
    fn from(timestamp: Timestamp) -> Self {
        Duration::from_nanos(timestamp.0)
    }
}

impl fmt::Display for Timestamp {
    /// Seconds with nine decimals, as `tcpdump -tt --nano` prints them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:09}",
            self.0 / 1_000_000_000,
            self.0 % 1_000_000_000
        )
    }
}
