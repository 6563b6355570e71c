//! What things of a plan are called.

use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Takes any text as the name.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name!(
    /// Names a node of a plan.
    NodeName
);
name!(
    /// Names a device of a node.
    DeviceName
);
name!(
    /// Names a loaded object of a node.
    ObjectName
);

name!(
    /// Names a socket of a plan.
    SocketName
);

impl NodeName {
    /// The one node of a scenario that names none.
    pub const ONLY: &str = "node";

    /// The one node of a scenario that names none.
    pub fn only() -> Self {
        Self::new(Self::ONLY)
    }

    /// Whether it is the one node of a scenario that names none: then it goes without saying.
    pub fn is_only(&self) -> bool {
        self.0 == Self::ONLY
    }

    /// Something on the node, `NODE/WHAT`.
    pub fn with(&self, what: impl fmt::Display) -> String {
        if self.is_only() {
            what.to_string()
        } else {
            format!("{self}/{what}")
        }
    }
}
