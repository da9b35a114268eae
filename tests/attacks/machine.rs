use std::{fs, path::Path, process::Command};

use crate::memory_group::{LIMIT, MemoryGroup};

/// Describes what was attacked and where, as lines.
pub(crate) fn describe(
    program: &Path,
    kind: &str,
    root: &Path,
    group: Result<&MemoryGroup, &String>,
    files: usize,
) -> Result<Vec<String>, String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = cpu.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<_> = models.map(|(_, model)| model).collect();
    let model = models.first().copied().unwrap_or("a processor without a name");
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let commit = said(Command::new("git").arg("-C").arg(root).args(["rev-parse", "--short", "HEAD"]))
        .unwrap_or_else(|_| "unknown".to_owned());
    let size = fs::metadata(program).map_err(|error| error.to_string())?.len();
    Ok(vec![
        format!("{model}, {} cores, {}", models.len(), said(Command::new("uname").arg("-sr"))?),
        format!("{}, commit {commit}", said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?),
        format!("{}, {kind}, {size} bytes", said(Command::new(program).arg("--version"))?),
        format!("{files} open files for each process; load average before: {load}"),
        match group {
            Ok(_) => format!("the server is in a memory cgroup of {} MiB", LIMIT >> 20),
            Err(why) => {
                format!("the server has all memory of the machine, as there is no cgroup for it: {why}")
            }
        },
    ])
}

fn said(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
