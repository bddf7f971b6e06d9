//! Programs without any library: they show what the machine can do, and stand on the other side of a publisher or a
//! subscriber so that only one of the two is measured. `wire` is all they know of ZMTP.

pub mod churn;
pub mod drain;
pub mod writer;

mod wire;
