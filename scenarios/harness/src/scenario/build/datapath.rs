//! The built-in datapath: its object, and the cluster model in a scenario as map contents.
use crate::plan::ObjectPlan;
pub(super) fn object() -> ObjectPlan {
    ObjectPlan {
        name: crate::plan::ObjectName::new("twinpath"),
        path: "twinpath.o".into(),
        bytes: [].into(),
        globals: Default::default(),
    }
}
