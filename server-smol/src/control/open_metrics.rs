//! Writes text in the [OpenMetrics] format, which Prometheus and many others read.
//!
//! [OpenMetrics]: https://prometheus.io/docs/specs/om/open_metrics_spec/

use std::fmt::{Display, Write as _};

use crate::metrics::Distribution;

/// The type of such a text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A text in the format, up to now.
#[derive(Debug, Default)]
pub(super) struct OpenMetrics(String);

impl OpenMetrics {
    /// Adds a fact that does not change.
    pub(super) fn info(&mut self, name: &str, help: &str, label: &str, value: &str) {
        self.family(name, "info", help);
        self.line(name, "_info", &format!("{{{label}=\"{value}\"}}"), 1);
    }

    /// Adds a number that goes up and down.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.line(name, "", "", value);
    }

    /// Adds numbers that go up and down, each with the value of a label.
    pub(super) fn gauges<V: Display>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (impl Display, V)>,
    ) {
        self.family(name, "gauge", help);
        for (value, number) in values {
            self.line(name, "", &format!("{{{label}=\"{value}\"}}"), number);
        }
    }

    /// Adds a number that only goes up.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.line(name, "_total", "", value);
    }

    /// Adds numbers that only go up, each with the value of a label.
    pub(super) fn counters(&mut self, name: &str, help: &str, label: &str, values: &[(&'static str, u64)]) {
        self.family(name, "counter", help);
        for (value, number) in values {
            self.line(name, "_total", &format!("{{{label}=\"{value}\"}}"), number);
        }
    }

    /// Adds a histogram, whose numbers are so many times the unit of `name`.
    pub(super) fn histogram(&mut self, name: &str, help: &str, unit: f64, distribution: &Distribution) {
        self.family(name, "histogram", help);
        #[allow(clippy::cast_precision_loss, reason = "it is one anyway")]
        let in_unit = |number: u64| number as f64 * unit;
        for (bound, count) in distribution.cumulative() {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| format!("{:?}", in_unit(bound)));
            self.line(name, "_bucket", &format!("{{le=\"{bound}\"}}"), count);
        }
        self.line(name, "_count", "", distribution.count());
        self.line(name, "_sum", "", in_unit(distribution.sum()));
    }

    /// Returns the whole text.
    pub(super) fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Nothing fails that is written into a string.
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if let Some(unit) = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(unit)) {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {help}");
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.0, "{name}{suffix}{labels} {value}");
    }
}
