//! Which helpers programs have by their licence (`gpl_only` of `struct bpf_func_proto`).

use super::HelperId;

/// Whether the kernel counts a licence as one that may use its GPL-only functions
/// (`license_is_gpl_compatible` in `include/linux/license.h`).
pub(crate) fn is_gpl_compatible(license: &str) -> bool {
    const COMPATIBLE: &[&str] = &[
        "GPL",
        "GPL v2",
        "GPL and additional rights",
        "Dual BSD/GPL",
        "Dual MIT/GPL",
        "Dual MPL/GPL",
    ];
    COMPATIBLE.contains(&license)
}

impl HelperId {
    /// Whether the kernel gives it to programs with a GPL-compatible licence alone.
    pub const fn is_gpl_only(self) -> bool {
        self.is_kernel_function()
            || matches!(
                self,
                Self::TRACE_PRINTK
                    | Self::TRACE_VPRINTK
                    | Self::SNPRINTF
                    | Self::PERF_EVENT_OUTPUT
                    | Self::PERF_EVENT_READ
                    | Self::PERF_EVENT_READ_VALUE
                    | Self::GET_CURRENT_TASK
                    | Self::GET_CURRENT_TASK_BTF
                    | Self::TASK_PT_REGS
                    | Self::GET_BRANCH_SNAPSHOT
                    | Self::PROBE_READ_USER
                    | Self::PROBE_READ_KERNEL
                    | Self::PROBE_READ_USER_STR
                    | Self::PROBE_READ_KERNEL_STR
                    | Self::COPY_FROM_USER_TASK
                    | Self::TIMER_INIT
                    | Self::TIMER_SET_CALLBACK
                    | Self::TIMER_START
                    | Self::TIMER_CANCEL
                    | Self::FIB_LOOKUP
                    | Self::CHECK_MTU
                    | Self::TCP_CHECK_SYNCOOKIE
                    | Self::TCP_GEN_SYNCOOKIE
                    | Self::TCP_RAW_GEN_SYNCOOKIE_IPV4
                    | Self::TCP_RAW_GEN_SYNCOOKIE_IPV6
                    | Self::TCP_RAW_CHECK_SYNCOOKIE_IPV4
                    | Self::TCP_RAW_CHECK_SYNCOOKIE_IPV6
            )
    }
}
