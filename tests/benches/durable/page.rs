use std::{fs, thread, time::Duration};

/// Prints where this runs.
pub(crate) fn machine() {
    let line = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
        line.split_once(':').map_or(line.clone(), |(_, value)| value.trim().to_owned())
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "{}, {cores} cores, Linux {}; load average before: {}",
        line("/proc/cpuinfo", "model name"),
        line("/proc/sys/kernel/osrelease", ""),
        line("/proc/loadavg", "").split(' ').next().unwrap_or_default(),
    );
}

/// Prints the head of a table.
pub(crate) fn head(columns: &[&str]) {
    row(columns);
    let rules: Vec<_> =
        columns.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" }).collect();
    row(&rules);
}

/// Prints a row of a table.
pub(crate) fn row(cells: &[impl AsRef<str>]) {
    let cells: Vec<_> = cells.iter().map(AsRef::as_ref).collect();
    println!("| {} |", cells.join(" | "));
}

/// Returns the one that so many of a thousand do not exceed.
pub(crate) fn quantile(numbers: impl IntoIterator<Item = f64>, thousandths: usize) -> f64 {
    let mut numbers: Vec<_> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    numbers.get((numbers.len().saturating_sub(1) * thousandths).div_ceil(1000)).copied().unwrap_or(f64::NAN)
}

/// Returns the one in the middle.
pub(crate) fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    quantile(numbers, 500)
}

/// Returns the median and the greatest of some times, in milliseconds.
pub(crate) fn milliseconds(times: &[Duration]) -> String {
    let all = || times.iter().map(|time| time.as_secs_f64() * 1e3);
    format!("{:.0} ms (at most {:.0})", median(all()), quantile(all(), 1000))
}

/// Returns a size with its unit.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{:.0} KB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
