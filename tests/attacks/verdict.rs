use std::{fmt, time::Duration};

use crate::{
    scale::Scale,
    stage::{Passes, Seen},
};

/// The memory that the server may take beyond its limit, in per cent: an allocator cannot give back
/// everything.
pub(crate) const SPARE_PERCENT: u64 = 10;
/// The processor time that the server is meant to need. What is above is marked on the page.
pub(crate) const AIM: Passes =
    Passes { p99: Duration::from_micros(1_024), longest: Duration::from_millis(2) };
/// The number of bytes of log that are always allowed.
pub(crate) const LOG: u64 = 1 << 20;
/// The number of further bytes of log for each second that the attack lasts.
pub(crate) const LOG_A_SECOND: u64 = 256 << 10;

/// The promises that are broken.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// The broken promises, except those about time.
    pub(crate) broken: Vec<String>,
    /// The broken promises about time. If other programs run on the machine, they may be the cause.
    pub(crate) late: Vec<String>,
}

impl Verdict {
    /// Checks the rules for all attacks, and the attack's own promise.
    pub(crate) fn of(seen: &Seen, scale: Scale) -> Self {
        let mut broken = Vec::new();
        if let Some(end) = &seen.end {
            broken.push(format!("the server's process ended: {end}"));
        }
        let most = scale.memory() + scale.spare();
        if seen.memory > most {
            broken.push(format!(
                "the server takes {} MiB of memory, more than {} MiB",
                seen.memory >> 20,
                most >> 20
            ));
        }
        let log = LOG + (LOG_A_SECOND as f64 * seen.time.as_secs_f64()) as u64;
        if seen.log_bytes > log {
            broken.push(format!(
                "the server writes {} of log, more than {}",
                megabytes(seen.log_bytes),
                megabytes(log)
            ));
        }
        let [calm, attacked] = seen.innocent;
        let lost = calm.lost + attacked.lost;
        if lost > 0 {
            let of = calm.count + attacked.count;
            broken.push(format!("{lost} of {of} answers to the control client are lost"));
        }
        broken.extend(seen.broken.iter().cloned());
        let later = attacked.p99.saturating_sub(calm.p99);
        let mut late = Vec::new();
        if lost == 0 && later > scale.later() {
            late.push(format!("the p99 of the control client is {} later", milliseconds(later)));
        }
        if let Some(passes) = seen.passes.filter(|&passes| passes.exceed(scale.passes())) {
            late.push(format!("passes of the event loop take {passes}"));
        }
        Self { broken, late }
    }

    pub(crate) fn holds(&self) -> bool {
        self.broken.is_empty() && self.late.is_empty()
    }

    /// Returns true if only promises about time are broken. Then the attack may hold when it is repeated.
    pub(crate) fn is_only_late(&self) -> bool {
        self.broken.is_empty() && !self.late.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.holds() {
            return f.write_str("holds");
        }
        let all: Vec<_> = self.broken.iter().chain(&self.late).map(String::as_str).collect();
        write!(f, "**broken**: {}", all.join("; "))
    }
}

pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

pub(crate) fn milliseconds(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1e3;
    if ms < 9.995 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Latency;

    fn seen() -> Seen {
        let latency = |p99| Latency { count: 100, p99: Duration::from_millis(p99), ..Latency::default() };
        Seen {
            innocent: [latency(1), latency(6)],
            memory: 281 << 20,
            log_bytes: LOG + LOG_A_SECOND,
            time: Duration::from_secs(1),
            passes: Some(passes(2_048, 20_000)),
            ..Seen::default()
        }
    }

    fn passes(p99: u64, longest: u64) -> Passes {
        Passes { p99: Duration::from_micros(p99), longest: Duration::from_micros(longest) }
    }

    #[test]
    fn what_is_just_within_the_promises_holds() {
        let verdict = Verdict::of(&seen(), Scale::Full);
        assert!(verdict.holds() && !verdict.is_only_late(), "{verdict}");
        assert_eq!(verdict.to_string(), "holds");
    }

    #[test]
    fn each_promise_can_be_broken() {
        let broken = |words: &str, change: fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            let verdict = Verdict::of(&seen, Scale::Full);
            let text = verdict.to_string();
            assert!(!verdict.holds() && text.contains(words) && !text.contains(';'), "{text}");
            verdict.is_only_late()
        };
        assert!(!broken("ended: signal: 9", |seen| seen.end = Some("signal: 9 (SIGKILL)".to_owned())));
        assert!(!broken("300 MiB", |seen| seen.memory = 300 << 20));
        assert!(!broken("1.3 MB", |seen| seen.log_bytes += 1));
        assert!(!broken("3 of 200", |seen| seen.innocent[1].lost = 3));
        assert!(!broken("no room", |seen| seen.broken.push("no room".to_owned())));
        assert!(broken("6.00 ms later", |seen| seen.innocent[1].p99 = Duration::from_millis(7)));
        assert!(broken("take 2.05 ms / 21 ms", |seen| seen.passes = Some(passes(2_048, 21_000))));
        assert!(broken("take 2.05 ms / 2.06 ms", |seen| seen.passes = Some(passes(2_049, 2_060))));
    }

    #[test]
    fn a_short_attack_promises_less_about_latency() {
        let mut seen = seen();
        seen.memory = 0;
        seen.innocent[1].p99 = Duration::from_millis(90);
        assert!(Verdict::of(&seen, Scale::Short).holds());
        seen.innocent[1].p99 = Duration::from_secs(1);
        assert!(Verdict::of(&seen, Scale::Short).is_only_late());
        seen.innocent[1].p99 = Duration::ZERO;
        seen.passes = Some(passes(16_384, 90_000));
        assert!(Verdict::of(&seen, Scale::Short).holds());
        seen.passes = Some(passes(32_768, 90_000));
        assert!(Verdict::of(&seen, Scale::Short).is_only_late());
    }
}
