use std::{collections::BTreeMap, path::Path, process::Command};

use serde_json::Value;

use crate::cost::{Count, Totals};

/// The processor's features that the C library is not to use: it would copy memory with other instructions on another
/// machine.
const PLAIN: &str = "glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM";

/// A program that counts what another one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    /// System calls.
    Strace,
    /// Allocations and their bytes. It replaces the allocator, so it does not see what that takes.
    Dhat,
    /// Instructions, those of the allocator and the C library among them.
    Callgrind,
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [Self::Strace, Self::Dhat, Self::Callgrind];

    /// Returns what it counts.
    pub(crate) fn counts(self) -> &'static [Count] {
        match self {
            Self::Strace => &[Count::SystemCalls],
            Self::Dhat => &[Count::Allocations, Count::Bytes],
            Self::Callgrind => &[Count::Instructions],
        }
    }

    /// Returns the beginning of a command, which the counted program's own has to follow. What is started is that
    /// program's process.
    pub(crate) fn command(self, report: &Path) -> Command {
        // A process of this kind runs when nobody else wants to: on one core, it begins when its client waits.
        let mut command = Command::new("chrt");
        command.args(["--batch", "0"]).env("GLIBC_TUNABLES", PLAIN);
        let report = report.display();
        match self {
            Self::Strace => {
                // The tracer has to be the grandchild, so that signals get to the program.
                command.args(["strace", "-D", "-f", "-c", "-o", &report.to_string()])
            }
            Self::Dhat => {
                let file = format!("--dhat-out-file={report}");
                command.args(["valgrind", "--quiet", "--tool=dhat", "--num-callers=1", &file])
            }
            Self::Callgrind => {
                let file = format!("--callgrind-out-file={report}");
                command.args(["valgrind", "--quiet", "--tool=callgrind", &file])
            }
        };
        command
    }

    /// Returns whether it works here; an error says what to do about it.
    pub(crate) fn check(self, place: &Path) -> Result<(), String> {
        let output = self.command(&place.join("check")).arg("true").output();
        let output = output.map_err(|error| format!("there is no `chrt`: {error}; install util-linux"))?;
        if output.status.success() {
            return Ok(());
        }
        let (name, hint) = match self {
            Self::Strace => (
                "strace",
                "the system may not let it trace: in a container it takes `--cap-add SYS_PTRACE`, and elsewhere \
                 `kernel.yama.ptrace_scope` of at most 1",
            ),
            Self::Dhat | Self::Callgrind => {
                ("valgrind", "it has to know this machine's processor and C library")
            }
        };
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!(
            "`{name}` does not work here: {}\ninstall it with `apt-get install {name}`; if it is there, {hint}",
            said.trim()
        ))
    }

    /// Returns which version it is.
    pub(crate) fn version(self) -> Result<String, String> {
        let name = if self == Self::Strace { "strace" } else { "valgrind" };
        let output = Command::new(name).arg("--version").output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().next().unwrap_or(name).replace(" -- version", ""))
    }

    /// Reads a report. Nothing where it is not whole.
    pub(crate) fn read(self, report: &str) -> Option<Totals> {
        let mut totals = Totals::default();
        match self {
            Self::Strace => {
                let (all, calls) = system_calls(report)?;
                totals.counts.insert(Count::SystemCalls, all);
                totals.calls = calls;
            }
            Self::Dhat => {
                let report: Value = serde_json::from_str(report).ok()?;
                let places = report["pps"].as_array()?;
                let sum = |key: &str| places.iter().filter_map(|place| place[key].as_f64()).sum();
                totals.counts = [(Count::Allocations, sum("tbk")), (Count::Bytes, sum("tb"))].into();
            }
            Self::Callgrind => {
                let total = report.lines().find_map(|line| line.strip_prefix("totals: "))?;
                totals.counts.insert(Count::Instructions, total.trim().parse().ok()?);
            }
        }
        Some(totals)
    }
}

/// Reads the table that strace writes: how many calls there were, and how many of each.
fn system_calls(report: &str) -> Option<(f64, BTreeMap<String, f64>)> {
    let mut calls = BTreeMap::new();
    for line in report.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        // The share of the time, seconds, microseconds for each, calls, perhaps errors, and the name.
        let (Some(count), Some(name)) = (words.get(3).and_then(|count| count.parse().ok()), words.last())
        else {
            continue;
        };
        match *name {
            // It stands at the end.
            "total" => return Some((count, calls)),
            name => calls.insert(name.to_owned(), count),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRACE: &str = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.000600           6       100           sendto
 40.00    0.000400           4       103         3 recvfrom
------ ----------- ----------- --------- --------- ----------------
100.00    0.001000           4       203         3 total
";

    #[test]
    fn system_calls_are_read_by_name() {
        let totals = Tool::Strace.read(STRACE).unwrap();
        assert_eq!(totals.counts, [(Count::SystemCalls, 203.0)].into());
        assert_eq!(totals.calls, [("recvfrom".to_owned(), 103.0), ("sendto".to_owned(), 100.0)].into());
    }

    #[test]
    fn a_report_that_is_not_whole_is_none() {
        assert_eq!(Tool::Strace.read(&STRACE[..STRACE.len() - 8]), None);
        assert_eq!(Tool::Dhat.read(r#"{"pps": [{"tb": 10, "tb"#), None);
        assert_eq!(Tool::Callgrind.read("version: 1\n"), None);
    }

    #[test]
    fn allocations_are_summed_and_instructions_are_found() {
        let totals = Tool::Dhat.read(r#"{"pps": [{"tb": 10, "tbk": 1}, {"tb": 32, "tbk": 2}]}"#).unwrap();
        assert_eq!(totals.counts, [(Count::Allocations, 3.0), (Count::Bytes, 42.0)].into());
        let totals = Tool::Callgrind.read("fn=(1)\n1 2\ntotals: 123456\n").unwrap();
        assert_eq!(totals.counts, [(Count::Instructions, 123_456.0)].into());
    }
}
