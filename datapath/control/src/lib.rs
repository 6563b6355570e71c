//! The cluster model of the Twinpath datapath: endpoints, services and deny lists turned into map entries
