use std::{fs, path::Path};

/// The memory that is assumed if the system does not say how much there is.
const ASSUMED: usize = 512 << 20;

/// Half of what the machine gives this process: of its memory, or of what the control groups allow that the process is in.
pub(crate) fn default_total() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| of_meminfo(&text));
    let groups =
        fs::read_to_string("/proc/self/cgroup").map(|text| of_groups(&text, Path::new("/sys/fs/cgroup")));
    let least = machine.into_iter().chain(groups.ok().flatten()).min();
    let least = least.map_or(ASSUMED, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    // Where addresses are of 32 bits, there is less of them than there may be of memory.
    least.min(isize::MAX as usize) / 2
}

/// Returns the machine's memory in bytes, from `/proc/meminfo`.
fn of_meminfo(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns the least that a control group allows of those that `/proc/self/cgroup` lists, or of those above them.
/// Version 2 has one tree at `root`, version 1 one for memory below it.
fn of_groups(text: &str, root: &Path) -> Option<u64> {
    let limits = text.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let (tree, file) = if controllers.is_empty() {
            (root.to_owned(), "memory.max")
        } else if controllers.split(',').any(|controller| controller == "memory") {
            (root.join("memory"), "memory.limit_in_bytes")
        } else {
            return None;
        };
        // In a container the path may be that of the host, which is not there: then the tree's root is the group's own.
        let groups = Path::new(path).ancestors().map(|group| tree.join(group).join(file));
        groups.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()).min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_how_much_memory_it_has() {
        assert_eq!(of_meminfo("MemTotal:       24684216 kB\nMemFree: 1 kB\n"), Some(24_684_216 << 10));
        assert_eq!(of_meminfo("MemFree: 1 kB\n"), None);
        assert!(default_total() >= 1 << 20);
    }

    #[test]
    fn the_least_of_all_control_groups_above_holds() {
        let root = std::env::temp_dir().join(format!("stateroom-cgroup-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("a/memory.max", "1000\n");
        write("a/b/memory.max", "max\n");
        write("memory/a/memory.limit_in_bytes", "500\n");
        write("memory/memory.limit_in_bytes", "9223372036854771712\n");
        assert_eq!(of_groups("0::/a/b\n", &root), Some(1_000));
        assert_eq!(of_groups("3:cpu,cpuacct:/a\n", &root), None);
        assert_eq!(of_groups("4:memory:/a\n3:cpu:/\n", &root), Some(500));
        assert_eq!(of_groups("4:memory:/elsewhere\n", &root), Some(9_223_372_036_854_771_712));
        assert_eq!(of_groups("", &root), None);
        fs::remove_dir_all(root).unwrap();
    }
}
