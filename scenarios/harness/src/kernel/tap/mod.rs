//! Taps: small programs of our own that record what the plan's programs do, as they do it.
//!
//! What is attached to a hook is a tap: a program that calls the plan's program as a function, with the same
//! context. Before that it writes the whole packet into a perf buffer, and behind it what the program returned, the
//! packet and what the kernel keeps beside it. It returns the same value. A tail call in the program leaves the program and returns to the tap. At the far end of
//! each device stands an XDP program that records what arrives there. All write into the buffer of the one CPU on
//! which a run happens, so that the records are in the order in which things happened.
//!
//! The program is loaded on its own first, so that what the verifier has against it is about it alone. Then it is
//! loaded once more for each hook, behind the tap's instructions. Calls may nest one frame less deep then. The tap has
//! nothing on the stack, as that would be counted too; a kernel without a JIT counts 32 bytes for nothing. Where the
//! verifier refuses a program with its tap, the program is attached without, and the recording says so ([`Recording::notices`](crate::recording::Recording)).
//!
//! (A tracing program behind the plan's, `fexit`, would leave that as it is. But it needs BTF of the program and of
//! the kernel, and the kernel to let programs be patched, which not each one does.)
//!
//! A record is lost when the buffer is full or when the packet is longer than a perf record can be. That is counted,
//! and a run with a count that is not zero fails.

pub mod asm;
mod observer;
mod program;
pub mod record;

pub use observer::{Observer, TapError};
pub use program::Watched;
