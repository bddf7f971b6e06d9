//! Routes being put together, and the handle to those at work.

pub(crate) mod builder;
pub(crate) mod on_demand;
pub(crate) mod route;
mod rules;
