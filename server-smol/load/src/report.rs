use std::{fmt, time::Duration};

use serde_json::{Map, Value, json};

use crate::{histogram::Histogram, ledger::Faults};

/// The report of a run, as text and as JSON.
#[derive(Debug)]
pub(crate) struct Report {
    /// The kind of run, in a word.
    pub(crate) mode: &'static str,
    pub(crate) url: String,
    /// The parameters: a name and a number each.
    pub(crate) asked: Vec<(&'static str, u64)>,
    /// The time that was measured.
    pub(crate) time: Duration,
    pub(crate) counts: Vec<Count>,
    pub(crate) latency: Option<Histogram>,
    pub(crate) server: Option<Usage>,
    /// The CPU time of this process during the measurement.
    pub(crate) own_cpu: Duration,
    pub(crate) faults: Option<Faults>,
    /// Messages that do not belong to this run, for example greetings of a server.
    pub(crate) others: u64,
    /// Messages that could not be sent in time, because too many earlier ones were not delivered yet.
    pub(crate) unsent: u64,
}

/// A count, whose cost for each one is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count {
    pub(crate) one: &'static str,
    pub(crate) many: &'static str,
    pub(crate) number: u64,
}

impl Count {
    /// Returns the number for one second.
    fn per_second(&self, time: Duration) -> f64 {
        self.number as f64 / time.as_secs_f64().max(1e-9)
    }

    /// Returns the CPU time of one message, in microseconds.
    fn price(&self, cpu: Duration) -> f64 {
        cpu.as_secs_f64() * 1e6 / self.number as f64
    }
}

/// The resources that the server has used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Its memory at the beginning and at the end, in bytes.
    pub(crate) resident: [u64; 2],
    /// The number of connections that were opened between the two.
    pub(crate) connections: u64,
}

impl Usage {
    /// Returns the memory of one connection, in bytes.
    fn per_connection(&self) -> Option<f64> {
        let [before, after] = self.resident.map(|bytes| bytes as f64);
        (self.connections > 0).then(|| (after - before) / self.connections as f64)
    }
}

const QUANTILES: [(&str, u64); 4] = [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999)];

impl Report {
    pub(crate) fn to_json(&self) -> Value {
        let mut json = Map::new();
        json.insert("mode".to_owned(), self.mode.into());
        json.insert("url".to_owned(), self.url.clone().into());
        for (name, value) in &self.asked {
            json.insert((*name).to_owned(), (*value).into());
        }
        json.insert("seconds".to_owned(), self.time.as_secs_f64().into());
        for count in &self.counts {
            json.insert(count.many.to_owned(), count.number.into());
            json.insert(format!("{}_per_second", count.many), count.per_second(self.time).into());
        }
        if let Some(latency) = &self.latency {
            let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
            let quantiles = QUANTILES.iter().map(|(name, thousandths)| {
                ((*name).to_owned(), microseconds(latency.quantile(*thousandths)).into())
            });
            let mut quantiles: Map<String, Value> = quantiles.collect();
            quantiles.insert("max".to_owned(), microseconds(latency.most()).into());
            json.insert("latency_us".to_owned(), quantiles.into());
        }
        if let Some(usage) = &self.server {
            json.insert("server".to_owned(), self.usage_as_json(usage));
        }
        let own = json!({ "cpu_seconds": self.own_cpu.as_secs_f64() });
        json.insert("load".to_owned(), own);
        if let Some(Faults { missing, duplicate, reordered, altered }) = self.faults {
            let faults = json!({
                "missing": missing, "duplicate": duplicate, "reordered": reordered, "altered": altered,
            });
            json.insert("faults".to_owned(), faults);
            json.insert("others".to_owned(), self.others.into());
            json.insert("unsent".to_owned(), self.unsent.into());
        }
        json.into()
    }

    fn usage_as_json(&self, usage: &Usage) -> Value {
        let mut json = Map::new();
        json.insert("cpu_seconds".to_owned(), usage.cpu.as_secs_f64().into());
        for count in self.counts.iter().filter(|count| count.number > 0) {
            json.insert(format!("cpu_us_per_{}", count.one), count.price(usage.cpu).into());
        }
        let [before, after] = usage.resident;
        json.insert("resident_before".to_owned(), before.into());
        json.insert("resident".to_owned(), after.into());
        if let Some(bytes) = usage.per_connection() {
            json.insert("resident_per_connection".to_owned(), bytes.into());
        }
        json.into()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let asked = self
            .asked
            .iter()
            .map(|(name, value)| format!("{} {}", name.replace('_', " "), thousands(*value)));
        let asked: Vec<_> = asked.collect();
        writeln!(f, "{} {}: {}; {:.1} s", self.mode, self.url, asked.join(", "), self.time.as_secs_f64())?;
        for count in &self.counts {
            let rate = thousands(count.per_second(self.time).round() as u64);
            writeln!(f, "{:<12}{:>14}{rate:>14} a second", count.many, thousands(count.number))?;
        }
        if let Some(latency) = self.latency.as_ref().filter(|latency| !latency.is_empty()) {
            write!(f, "{:<12}", "latency")?;
            for (name, thousandths) in QUANTILES {
                write!(f, "{name} {}   ", short(latency.quantile(thousandths)))?;
            }
            writeln!(f, "max {}", short(latency.most()))?;
        }
        if let Some(usage) = &self.server {
            self.write_usage(f, "server", usage.cpu)?;
            write!(f, "{:<12}{:.1} MiB", "", usage.resident[1] as f64 / f64::from(1 << 20))?;
            match usage.per_connection() {
                Some(bytes) => {
                    let before = usage.resident[0] as f64 / f64::from(1 << 20);
                    writeln!(
                        f,
                        " of memory, {before:.1} MiB before: {:.2} KiB for each connection",
                        bytes / 1024.0
                    )?;
                }
                None => writeln!(f, " of memory")?,
            }
        }
        self.write_usage(f, "load", self.own_cpu)?;
        if self.others > 0 {
            writeln!(f, "{} messages of the server's own were not looked at", thousands(self.others))?;
        }
        if self.unsent > 0 {
            let unsent = thousands(self.unsent);
            writeln!(f, "the server did not keep up: {unsent} messages were due and could not be sent")?;
        }
        if self.own_cpu.as_secs_f64() > 0.9 * self.time.as_secs_f64() {
            writeln!(
                f,
                "the load generator itself was busy all the time, and the server may have waited for it"
            )?;
        }
        Ok(())
    }
}

impl Report {
    fn write_usage(&self, f: &mut fmt::Formatter<'_>, who: &str, cpu: Duration) -> fmt::Result {
        let share = 100.0 * cpu.as_secs_f64() / self.time.as_secs_f64().max(1e-9);
        write!(f, "{who:<12}{share:.0} % of a core")?;
        let mut separator = ": ";
        for count in self.counts.iter().filter(|count| count.number > 0) {
            write!(f, "{separator}{:.2} µs for each {}", count.price(cpu), count.one)?;
            separator = ", ";
        }
        writeln!(f)
    }
}

/// Formats a number with separated thousands.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a time in a unit that suits it.
fn short(time: Duration) -> String {
    match time.as_nanos() as f64 {
        ns @ ..1e6 => format!("{:.1} µs", ns / 1e3),
        ns @ ..1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        let times = [1_500, 2_000_000, 3_450_000_000].map(|ns| short(Duration::from_nanos(ns)));
        assert_eq!(times, ["1.5 µs", "2.00 ms", "3.45 s"]);
    }
}
