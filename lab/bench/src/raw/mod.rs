//! Programs without any library: they show the limit of the machine, and act as the other side of a publisher or a
//! subscriber so that only one of the two is measured. `wire` is the only module that knows ZMTP.

pub mod churn;
pub mod copier;
pub mod drain;
pub mod market;
pub mod trip;
pub mod writer;

mod sealed;
mod wire;
