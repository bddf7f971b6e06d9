//! Routes being put together.

pub(crate) mod builder;
pub(crate) mod route;
pub(crate) mod rules;
