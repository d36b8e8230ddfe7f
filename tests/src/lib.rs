//! nothing
