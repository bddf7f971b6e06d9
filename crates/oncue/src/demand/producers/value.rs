//! What a function that produces one value at a time may return.

use std::error::Error;

/// What the function of [`RouteBuilder::every`](crate::demand::RouteBuilder::every) may return: a value ([`Plain`]), or a
/// [`Result`] of an [`Option`] of one ([`Fallible`]), where `Ok(None)` sends nothing and an error makes the topic stale until
/// the feed has started again. `Kind` tells the two apart, and is inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a value of a topic",
    label = "neither `AsRef<[u8]>` nor `Result<Option<_>, _>`",
    note = "return bytes or text, or a `Result<Option<_>, _>` of such whose error converts into a boxed one"
)]
pub trait IntoValue<Kind> {
    /// The bytes of the value.
    type Payload: AsRef<[u8]>;

    /// The value, if there is one.
    ///
    /// # Errors
    /// Why there is none: the feed has failed.
    fn into_value(self) -> Result<Option<Self::Payload>, Box<dyn Error + Send + Sync>>;
}

/// The kind of functions that always have a value.
#[derive(Debug, Clone, Copy)]
pub enum Plain {}

/// The kind of functions that may have no value, or fail.
#[derive(Debug, Clone, Copy)]
pub enum Fallible {}

impl<P: AsRef<[u8]>> IntoValue<Plain> for P {
    type Payload = P;

    fn into_value(self) -> Result<Option<P>, Box<dyn Error + Send + Sync>> {
        Ok(Some(self))
    }
}

impl<P: AsRef<[u8]>, E: Into<Box<dyn Error + Send + Sync>>> IntoValue<Fallible> for Result<Option<P>, E> {
    type Payload = P;

    fn into_value(self) -> Result<Option<P>, Box<dyn Error + Send + Sync>> {
        self.map_err(Into::into)
    }
}
