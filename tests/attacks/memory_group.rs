use std::{
    fs, io,
    path::{Path, PathBuf},
    process, thread,
    time::Duration,
};

/// The memory of the server's group. A server that takes more ends.
pub(crate) const LIMIT: u64 = 512 << 20;

/// The beginning of the names of groups. The id of the process that has made the group follows.
const NAME: &str = "stateroom-attacks-";

/// A group of processes that have so much memory together (a cgroup), below the one that this process is in.
#[derive(Debug)]
pub(crate) struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// Makes the group; an error says why the system does not allow it.
    pub(crate) fn make() -> Result<Self, String> {
        let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
        let (own, limit) = find(&read("/proc/self/cgroup")?, &read("/proc/mounts")?)
            .ok_or("no memory controller is mounted")?;
        remove_abandoned(&own);
        let directory = own.join(format!("{NAME}{}", process::id()));
        let shown = |error: io::Error| format!("{}: {error}", directory.display());
        fs::create_dir(&directory).map_err(shown)?;
        let group = Self(directory.clone());
        // The second version has this file only where the group above hands its memory on.
        fs::OpenOptions::new().write(true).open(directory.join(limit)).map_err(shown)?;
        fs::write(directory.join(limit), LIMIT.to_string()).map_err(shown)?;
        Ok(group)
    }

    /// Returns the file that a process writes its id to, to be in the group.
    pub(crate) fn processes(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // A process that has just ended is in it for a moment longer.
        for _ in 0..100 {
            match fs::remove_dir(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    thread::sleep(Duration::from_millis(10));
                }
                _ => return,
            }
        }
        eprintln!("cannot remove {}", self.0.display());
    }
}

/// Removes the groups of processes that were killed, and could not do it themselves.
fn remove_abandoned(own: &Path) {
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let maker = name.to_str().and_then(|name| name.strip_prefix(NAME));
        if maker.is_some_and(|maker| !Path::new("/proc").join(maker).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Finds the directory of the own group, and the name of the file in it that limits the memory.
fn find(groups: &str, mounts: &str) -> Option<(PathBuf, &'static str)> {
    let mounted = |is_it: fn(&str, &str) -> bool| {
        mounts.lines().find_map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            let &[_, place, kind, options, ..] = &words[..] else { return None };
            is_it(kind, options).then_some(place)
        })
    };
    let is_memory = |list: &str| list.split(',').any(|name| name == "memory");
    let place = |mount: &str, path: &str| Path::new(mount).join(path.trim_start_matches('/'));
    let lines = || groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    if let Some((_, path)) = lines().find(|(controllers, _)| is_memory(controllers)) {
        let mount =
            mounted(|kind, options| kind == "cgroup" && options.split(',').any(|option| option == "memory"))?;
        return Some((place(mount, path), "memory.limit_in_bytes"));
    }
    let (_, path) = lines().find(|(controllers, _)| controllers.is_empty())?;
    Some((place(mounted(|kind, _| kind == "cgroup2")?, path), "memory.max"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_found_in_both_versions() {
        let first = find(
            "5:cpuset:/\n4:memory:/a/b\n0::/\n",
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n",
        );
        assert_eq!(first, Some(("/sys/fs/cgroup/memory/a/b".into(), "memory.limit_in_bytes")));
        let second = find("0::/user\n", "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n");
        assert_eq!(second, Some(("/sys/fs/cgroup/user".into(), "memory.max")));
        assert_eq!(find("0::/user\n", "proc /proc proc rw 0 0\n"), None);
    }
}
