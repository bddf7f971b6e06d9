//! What the server counts, for Prometheus: as text (version 0.0.4) and as OpenMetrics 1.0, by what the reader accepts. Labels
//! are routes, states, reasons and quotas, never topics or peers: there are as many samples as the config has routes, times a
//! constant. Reading takes no lock for longer than a copy of the counters.

mod families;
pub(super) mod pages;
pub(super) mod snapshot;
#[cfg(test)]
mod tests;
mod text;
