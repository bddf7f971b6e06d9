//! Routes being put together, and the handle to those at work.

mod builder;
mod draft;
mod meter;
mod on_demand;
mod route;
mod rules;

pub use self::builder::Builder;
pub use self::meter::Meter;
pub use self::on_demand::OnDemand;
pub use self::route::RouteBuilder;
