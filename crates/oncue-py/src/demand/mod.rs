//! Production on demand: routes whose producers are functions of Python.

pub(crate) mod feed;
mod produce;
pub(crate) mod routes;
pub(crate) mod serving;
