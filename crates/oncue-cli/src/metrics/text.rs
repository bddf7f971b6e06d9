//! Families of metrics as text. Both formats are one but for the names of families, the units and the end.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/>,
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>.

use std::fmt::Write as _;

use oncue::demand::Histogram;

/// The types that a reader may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Prometheus,
    OpenMetrics,
}

/// What the samples of a family mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    /// Its labels tell something that does not change, and its value is 1.
    Info,
}

/// Text that is being written.
pub(crate) struct Text {
    format: Format,
    text: String,
    /// The family of the samples that follow.
    family: &'static str,
    kind: Kind,
}

impl Format {
    /// The format for the value of a header `Accept`: the one that it weighs most; the plain one if it names neither.
    pub(crate) fn accepted(accept: &str) -> Format {
        let weight = |media_type: &str| {
            let mut parts = media_type.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let mut weights = parts.filter_map(|part| part.strip_prefix("q="));
            let weight: f32 = weights.next().and_then(|weight| weight.parse().ok()).unwrap_or(1.0);
            (name.to_ascii_lowercase(), weight)
        };
        let weighed: Vec<_> = accept.split(',').map(weight).collect();
        let of = |names: &[&str]| {
            let named = weighed.iter().filter(|(name, _)| names.contains(&name.as_str()));
            named.fold(0.0, |most: f32, (_, weight)| most.max(*weight))
        };
        match of(&["application/openmetrics-text"]) > of(&["text/plain", "text/*", "*/*"]) {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Kind {
    /// What the names of its samples end in.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        }
    }

    pub(crate) fn name(self, format: Format) -> &'static str {
        match (self, format) {
            (Kind::Counter, _) => "counter",
            (Kind::Histogram, _) => "histogram",
            (Kind::Info, Format::OpenMetrics) => "info",
            (Kind::Gauge | Kind::Info, _) => "gauge",
        }
    }
}

impl Text {
    pub(crate) fn new(format: Format) -> Text {
        Text { format, text: String::new(), family: "", kind: Kind::Gauge }
    }

    /// Begins a family. `name` is without the suffix of its kind.
    pub(crate) fn begin(&mut self, name: &'static str, kind: Kind, unit: Option<&str>, help: &str) {
        (self.family, self.kind) = (name, kind);
        // OpenMetrics names the family without the suffix of its samples.
        let suffix = if self.format == Format::OpenMetrics { "" } else { kind.suffix() };
        self.line(&format!("# TYPE {name}{suffix} {}", kind.name(self.format)));
        if let Some(unit) = unit.filter(|_| self.format == Format::OpenMetrics) {
            self.line(&format!("# UNIT {name} {unit}"));
        }
        self.line(&format!("# HELP {name}{suffix} {help}"));
    }

    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let name = format!("{}{}", self.family, self.kind.suffix());
        self.number(&name, labels, value);
    }

    pub(crate) fn histogram(&mut self, labels: &[(&str, &str)], times: &Histogram) {
        let family = self.family;
        for (bound, count) in times.cumulative() {
            let bound = bound.map_or("+Inf".to_owned(), |bound| format!("{:?}", bound.as_secs_f64()));
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.number(&format!("{family}_bucket"), &labels, count);
        }
        self.number(&format!("{family}_sum"), labels, times.sum().as_secs_f64());
        self.number(&format!("{family}_count"), labels, times.count());
    }

    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.line("# EOF");
        }
        self.text
    }

    fn number(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(&format!("{name}{labels} {value}"));
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "{line}").expect("memory can be written");
    }
}

/// The value of a label, as it stands between quotes.
fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
