//! What a request without a beat is told.
