//! Reading what changed: nothing is lost, nothing is read for nothing.
