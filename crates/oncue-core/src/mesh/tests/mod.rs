//! The module as its users see it.
