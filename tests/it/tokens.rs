//! Who may beat.
