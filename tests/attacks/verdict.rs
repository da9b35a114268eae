use std::time::Duration;

use crate::{scale::Scale, stage::Seen};

/// How much more memory than it is given the server may have: what an allocator cannot give back.
pub(crate) const SPARE_PERCENT: u64 = 10;
/// How much later than without the attack 99 in 100 answers may come.
pub(crate) const LATER: Duration = Duration::from_millis(5);
/// How many bytes of log there may be in any case, …
pub(crate) const LOG: u64 = 1 << 20;
/// … and how many more for each second that the attack lasts.
pub(crate) const LOG_A_SECOND: u64 = 256 << 10;

/// Says what is broken of the promises that hold in all attacks, and of the attack's own.
pub(crate) fn broken(seen: &Seen, scale: Scale) -> Vec<String> {
    let mut broken = Vec::new();
    if let Some(end) = &seen.end {
        broken.push(format!("the server is gone: {end}"));
    }
    let most = scale.memory() / 100 * (100 + SPARE_PERCENT);
    if seen.taken.memory > most {
        broken.push(format!("{} MiB of memory, and may have {}", seen.taken.memory >> 20, most >> 20));
    }
    let log = LOG + (LOG_A_SECOND as f64 * seen.time.as_secs_f64()) as u64;
    if seen.log_bytes > log {
        broken.push(format!("{} of log, and may write {}", megabytes(seen.log_bytes), megabytes(log)));
    }
    let [calm, attacked] = seen.innocent;
    let lost = calm.lost + attacked.lost;
    if lost > 0 {
        let of = calm.count + attacked.count;
        broken.push(format!("{lost} of {of} answers to the innocent client are lost"));
    } else if scale == Scale::Full && attacked.p99 > calm.p99 + LATER {
        broken.push(format!(
            "p99 of the innocent client is {}",
            milliseconds(attacked.p99 - calm.p99) + " later"
        ));
    }
    broken.extend(seen.broken.iter().cloned());
    broken
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
    use crate::{latency::Latency, watch::Taken};

    fn seen() -> Seen {
        let latency = |p99| Latency { count: 100, p99: Duration::from_millis(p99), ..Latency::default() };
        Seen {
            innocent: [latency(1), latency(6)],
            taken: Taken { memory: 281 << 20, cpu: Duration::ZERO },
            log_bytes: LOG + LOG_A_SECOND,
            time: Duration::from_secs(1),
            ..Seen::default()
        }
    }

    #[test]
    fn what_is_just_within_the_promises_holds() {
        assert_eq!(broken(&seen(), Scale::Full), [""; 0]);
    }

    #[test]
    fn each_promise_can_be_broken() {
        let broken = |change: fn(&mut Seen)| {
            let mut seen = seen();
            change(&mut seen);
            broken(&seen, Scale::Full)
        };
        let one_with = |words: &str, change: fn(&mut Seen)| {
            let broken = broken(change);
            assert!(broken.len() == 1 && broken[0].contains(words), "{broken:?}");
        };
        one_with("gone: signal: 9", |seen| seen.end = Some("signal: 9 (SIGKILL)".to_owned()));
        one_with("300 MiB", |seen| seen.taken.memory = 300 << 20);
        one_with("1.3 MB", |seen| seen.log_bytes += 1);
        one_with("6.00 ms later", |seen| seen.innocent[1].p99 = Duration::from_millis(7));
        one_with("3 of 200", |seen| seen.innocent[1].lost = 3);
        one_with("no room", |seen| seen.broken.push("no room".to_owned()));
    }

    #[test]
    fn a_short_attack_promises_nothing_about_latency() {
        let mut seen = seen();
        seen.taken.memory = 0;
        seen.innocent[1].p99 = Duration::from_secs(1);
        assert_eq!(broken(&seen, Scale::Short), [""; 0]);
    }
}
