//! Beats that no agent asked for.
