use std::fmt;

use crate::{
    cost::Count,
    script::{Script, Spread},
};

/// The part by which the instructions may differ with another compiler.
const OTHER_COMPILER: f64 = 0.1;

/// The comparison of a count with the one in the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    Less,
    More,
}

/// The allowed difference of a count from the one in the page: a part of it, and so many beside.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slack {
    part: f64,
    beside: f64,
}

/// Judges a count of a script. Other compilers make other instructions of the same source: with one, more of a difference
/// is none.
pub(crate) fn judge(script: &Script, count: Count, was: f64, is: f64, is_same_compiler: bool) -> Verdict {
    let Slack { part, beside } = slack(count, script.spread, is_same_compiler);
    let allowed = was * part + beside;
    match () {
        () if is > was + allowed => Verdict::More,
        () if is < was - allowed => Verdict::Less,
        () => Verdict::Same,
    }
}

pub(crate) fn slack(count: Count, spread: Spread, is_same_compiler: bool) -> Slack {
    let (part, beside) = match (count, spread) {
        // The first messages have something to set up, and not always the same.
        (Count::SystemCalls, Spread::None) => (0.0, 0.02),
        // Server and client wait for one another a little more or less often.
        (Count::SystemCalls, Spread::Racing) => (0.15, 0.0),
        // The journal's thread wakes more or less often while the room's thread has something to do.
        (Count::SystemCalls, Spread::Grouping) => (0.25, 0.0),
        (Count::SystemCalls, Spread::Idle) => (0.0, 1.5),
        (Count::Allocations, Spread::None) => (0.0, 0.02),
        (Count::Allocations, Spread::Racing) => (0.02, 0.0),
        (Count::Allocations, Spread::Grouping) => (0.25, 1.0),
        (Count::Allocations, Spread::Idle) => (0.0, 0.5),
        (Count::Bytes, Spread::None) => (0.02, 10.0),
        (Count::Bytes, Spread::Racing) => (0.02, 0.0),
        (Count::Bytes, Spread::Grouping) => (0.25, 80.0),
        (Count::Bytes, Spread::Idle) => (0.0, 200.0),
        (Count::Instructions, Spread::None) => (0.02, 0.0),
        (Count::Instructions, Spread::Racing) => (0.05, 0.0),
        (Count::Instructions, Spread::Grouping) => (0.08, 0.0),
        (Count::Instructions, Spread::Idle) => (0.0, 3000.0),
    };
    match count {
        Count::Instructions if !is_same_compiler => Slack { part: OTHER_COMPILER, beside },
        _ => Slack { part, beside },
    }
}

impl fmt::Display for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, beside } = self;
        match (*part, *beside) {
            (part, 0.0) => write!(f, "{} %", part * 100.0),
            (0.0, beside) => write!(f, "{beside}"),
            (part, beside) => write!(f, "{} %, and {beside}", part * 100.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::SCRIPTS;

    fn script(name: &str) -> &'static Script {
        SCRIPTS.iter().find(|script| script.name == name).unwrap()
    }

    #[test]
    fn one_more_system_call_in_fifty_messages_is_more() {
        let judge = |is| judge(script("echo"), Count::SystemCalls, 3.0, is, true);
        assert_eq!([2.9, 2.99, 3.0, 3.01, 3.03].map(judge), {
            use Verdict::{Less, More, Same};
            [Less, Same, Same, Same, More]
        });
    }

    #[test]
    fn three_allocations_in_a_hundred_messages_are_more() {
        assert_eq!(judge(script("echo"), Count::Allocations, 0.0, 0.03, true), Verdict::More);
        assert_eq!(judge(script("echo"), Count::Allocations, 0.032, 0.033, true), Verdict::Same);
    }

    #[test]
    fn instructions_may_differ_more_with_another_compiler() {
        let judge = |is, same| judge(script("echo"), Count::Instructions, 6000.0, is, same);
        assert_eq!([judge(6100.0, true), judge(6200.0, true)], [Verdict::Same, Verdict::More]);
        assert_eq!([judge(6500.0, false), judge(6700.0, false)], [Verdict::Same, Verdict::More]);
        assert_eq!(judge(5000.0, false), Verdict::Less);
    }

    #[test]
    fn waking_once_a_second_for_somebody_idle_is_more() {
        assert_eq!(judge(script("idle"), Count::SystemCalls, 0.0, 2.0, true), Verdict::More);
    }
}
