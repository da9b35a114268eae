use std::os::fd::AsFd;

use rustix::{
    io::fcntl_dupfd_cloexec,
    process::{Resource, getrlimit},
};

/// Makes space for `count` file descriptors in the system's table of this process.
///
/// Linux doubles the table when it is full. In a process with several threads it then waits until no
/// processor reads the old table (`expand_fdtable` in its `fs/file.c`). This takes 10 to 25 ms, and blocks
/// the thread that accepts a connection. A descriptor with a high number makes the table large enough at
/// once. The table never shrinks, and takes 8 bytes for each descriptor.
pub(crate) fn reserve_descriptors(descriptor: impl AsFd, count: usize) {
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let last = (count as u64).min(allowed).saturating_sub(1);
    // If it fails, the server is only slower for a moment.
    let _ = fcntl_dupfd_cloexec(descriptor, i32::try_from(last).unwrap_or(i32::MAX));
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs;

    use super::*;

    /// Returns how many descriptors the table of this process has space for.
    fn space() -> usize {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        size.and_then(|size| size.trim().parse().ok()).unwrap()
    }

    #[test]
    fn the_table_of_descriptors_grows_at_once_as_far_as_is_allowed() {
        let file = fs::File::open("/proc/self/status").unwrap();
        let before = space();
        reserve_descriptors(&file, 0);
        assert_eq!(space(), before);
        let allowed = getrlimit(Resource::Nofile).current.map_or(usize::MAX, |allowed| allowed as usize);
        let count = (2 * before).min(allowed);
        reserve_descriptors(&file, count);
        assert!(space() >= count, "{} of {count}", space());
        // The kernel has 8 bytes for each.
        if allowed < 1 << 20 {
            reserve_descriptors(&file, usize::MAX);
            assert!(space() >= allowed);
        }
    }
}
