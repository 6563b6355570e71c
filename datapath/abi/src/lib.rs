//! Map keys and values, configuration, drop reasons and event records of the Twinpath datapath
