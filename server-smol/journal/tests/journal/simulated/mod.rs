//! A disk in memory that fails as disks do.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
};

use fastrand::Rng;
use stateroom_journal::Disk;

const SECTOR: usize = 512;

/// The counts of many schedules.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tried {
    pub(crate) power_cuts: u64,
    pub(crate) kills: u64,
    pub(crate) failed_writes: u64,
    pub(crate) torn_writes: u64,
    pub(crate) failed_syncs: u64,
    pub(crate) failed_directory_syncs: u64,
    pub(crate) no_space: u64,
    pub(crate) lost_sectors: u64,
    pub(crate) lost_names: u64,
    pub(crate) operations: u64,
}

/// The rates at which operations fail: once in this many, or never with 0.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) write: u32,
    pub(crate) sync: u32,
    pub(crate) create: u32,
    pub(crate) names: u32,
    /// The process is killed at this operation, in the middle of it.
    pub(crate) die_in: Option<u64>,
}

/// One file.
#[derive(Debug, Clone, Default)]
struct Content {
    /// The content that reads see.
    cache: Vec<u8>,
    /// The content of the disk.
    disk: Vec<u8>,
    /// The sectors that were written since the last sync, with each version that they had.
    dirty: BTreeMap<usize, Vec<Vec<u8>>>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
}

/// The disk.
#[derive(Debug)]
pub(crate) struct Simulated {
    random: Rng,
    contents: Vec<Content>,
    /// The names that the process sees, and those that the disk has.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    changes: Vec<NameChange>,
    pub(crate) faults: Faults,
    /// The bytes that all files may have together.
    pub(crate) space: u64,
    dead: bool,
    /// True if all that changes files is printed: with JOURNAL_TRACE in the environment.
    traced: bool,
    pub(crate) tried: Tried,
}

impl Simulated {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Rng::with_seed(seed),
            contents: Vec::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            faults: Faults::default(),
            space: u64::MAX,
            dead: false,
            traced: std::env::var_os("JOURNAL_TRACE").is_some(),
            tried: Tried::default(),
        }
    }

    /// Returns whether the process was killed in an operation.
    pub(crate) fn is_dead(&self) -> bool {
        self.dead
    }

    /// Kills the process. What it wrote can still be read.
    pub(crate) fn kill(&mut self) {
        self.trace(format_args!("kill"));
        self.tried.kills += 1;
        self.dead = false;
        self.faults = Faults::default();
    }

    /// Cuts the power. What was not synced is there or not, sector by sector and name by name.
    pub(crate) fn cut_power(&mut self) {
        self.trace(format_args!("cut power: {:?}", self.changes));
        self.tried.power_cuts += 1;
        self.dead = false;
        self.faults = Faults::default();
        // Often all or nothing is lost. Between these, anything can be.
        let keep = [0, 50, 50, 90, 100][self.random.usize(..5)];
        for content in &mut self.contents {
            for (sector, versions) in std::mem::take(&mut content.dirty) {
                if self.random.u32(..100) < keep {
                    let version = &versions[self.random.usize(..versions.len())];
                    content.disk[sector * SECTOR..][..version.len()].copy_from_slice(version);
                } else {
                    self.tried.lost_sectors += 1;
                }
            }
            content.cache.clone_from(&content.disk);
        }
        for change in std::mem::take(&mut self.changes) {
            if self.random.u32(..100) < keep {
                apply(&mut self.durable_names, &change);
            } else {
                self.tried.lost_names += 1;
            }
        }
        self.names.clone_from(&self.durable_names);
    }

    /// Returns the bytes of all files.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.names.iter().map(|(name, &place)| (name.clone(), self.contents[place].cache.clone())).collect()
    }

    /// Returns a disk with these files, all durable.
    pub(crate) fn with_files(files: &[(String, Vec<u8>)]) -> Self {
        let mut disk = Self::new(0);
        for (name, bytes) in files {
            let content = Content { cache: bytes.clone(), disk: bytes.clone(), dirty: BTreeMap::new() };
            disk.names.insert(name.clone(), disk.contents.len());
            disk.contents.push(content);
        }
        disk.durable_names.clone_from(&disk.names);
        disk
    }

    fn trace(&self, what: std::fmt::Arguments<'_>) {
        if self.traced {
            println!("{what}");
        }
    }

    /// Counts an operation. Returns whether the process dies in it.
    fn step(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(io::Error::other("dead"));
        }
        self.tried.operations += 1;
        if let Some(left) = &mut self.faults.die_in {
            if *left == 0 {
                self.dead = true;
                return Ok(true);
            }
            *left -= 1;
        }
        Ok(false)
    }

    fn fails(&mut self, one_in: u32) -> bool {
        one_in != 0 && self.random.u32(..one_in) == 0
    }

    fn content(&mut self, file: &str) -> io::Result<&mut Content> {
        let place = *self.names.get(file).ok_or(io::ErrorKind::NotFound)?;
        Ok(&mut self.contents[place])
    }

    fn put(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let content = self.content(file)?;
        let (at, end) = (at as usize, at as usize + bytes.len());
        assert!(end <= content.cache.len(), "a file is never made longer");
        content.cache[at..end].copy_from_slice(bytes);
        for sector in at / SECTOR..end.div_ceil(SECTOR) {
            let stop = ((sector + 1) * SECTOR).min(content.cache.len());
            let version = content.cache[sector * SECTOR..stop].to_vec();
            content.dirty.entry(sector).or_default().push(version);
        }
        Ok(())
    }

    fn change(&mut self, change: NameChange) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }
}

fn apply(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Create(name, place) => {
            names.insert(name.clone(), *place);
        }
        NameChange::Rename(from, to) => {
            if let Some(place) = names.remove(from) {
                names.insert(to.clone(), place);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

fn dead() -> io::Error {
    io::Error::other("killed")
}

fn fault() -> io::Error {
    io::Error::other("EIO")
}

impl Disk for Simulated {
    fn list(&mut self) -> io::Result<Vec<String>> {
        if self.step()? {
            return Err(dead());
        }
        let mut names: Vec<String> = self.names.keys().cloned().collect();
        names.push("lock".to_owned());
        self.random.shuffle(&mut names);
        Ok(names)
    }

    fn size(&mut self, file: &str) -> io::Result<u64> {
        if self.step()? {
            return Err(dead());
        }
        Ok(self.content(file)?.cache.len() as u64)
    }

    fn create(&mut self, file: &str, size: u64) -> io::Result<()> {
        self.trace(format_args!("create {file}"));
        let dies = self.step()?;
        let used: usize = self.names.values().map(|&place| self.contents[place].cache.len()).sum();
        let full = self.space.saturating_sub(used as u64) < size;
        let fails = self.fails(self.faults.create);
        if full || fails {
            self.tried.no_space += 1;
        }
        let part = if dies || fails || full { self.random.u64(..size) } else { size };
        let place = self.contents.len();
        let zeros = vec![0; part as usize];
        self.contents.push(Content { cache: zeros.clone(), disk: zeros, dirty: BTreeMap::new() });
        self.change(NameChange::Create(file.to_owned(), place));
        match (dies, full || fails) {
            (true, _) => Err(dead()),
            (_, true) => Err(io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn read(&mut self, file: &str, at: u64, into: &mut [u8]) -> io::Result<()> {
        if self.step()? {
            return Err(dead());
        }
        let content = self.content(file)?;
        let bytes =
            content.cache.get(at as usize..at as usize + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }

    fn write(&mut self, file: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.trace(format_args!("write {file} {at}+{}", bytes.len()));
        let dies = self.step()?;
        let fails = self.fails(self.faults.write);
        if dies || fails {
            self.tried.torn_writes += 1;
            self.tried.failed_writes += u64::from(fails);
            let part = self.random.usize(..=bytes.len());
            self.put(file, at, &bytes[..part])?;
            return Err(if dies { dead() } else { fault() });
        }
        self.put(file, at, bytes)
    }

    fn sync(&mut self, file: &str) -> io::Result<()> {
        self.trace(format_args!("sync {file}"));
        let dies = self.step()?;
        let fails = self.fails(self.faults.sync);
        if fails {
            self.tried.failed_syncs += 1;
        }
        let place = *self.names.get(file).ok_or(io::ErrorKind::NotFound)?;
        let content = &mut self.contents[place];
        if dies {
            // Some of it may have been written. The rest stays dirty.
            return Err(dead());
        }
        for (sector, versions) in std::mem::take(&mut content.dirty) {
            let version = &versions[versions.len() - 1];
            // After a failure, the cache shows what the disk does not have, and does not write it again.
            if !fails || self.random.bool() {
                content.disk[sector * SECTOR..][..version.len()].copy_from_slice(version);
            }
        }
        if fails { Err(fault()) } else { Ok(()) }
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.trace(format_args!("rename {from} {to}"));
        let dies = self.step()?;
        if !dies && self.fails(self.faults.names) {
            return Err(fault());
        }
        assert!(self.names.contains_key(from), "{from} to {to}");
        if !dies || self.random.bool() {
            self.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        }
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn remove(&mut self, file: &str) -> io::Result<()> {
        self.trace(format_args!("remove {file}"));
        let dies = self.step()?;
        if !dies && self.fails(self.faults.names) {
            return Err(fault());
        }
        if let Entry::Vacant(_) = self.names.entry(file.to_owned()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !dies || self.random.bool() {
            self.change(NameChange::Remove(file.to_owned()));
        }
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn sync_directory(&mut self) -> io::Result<()> {
        if self.step()? {
            return Err(dead());
        }
        // The names are in the file system's own journal: what failed stays to be done.
        if self.fails(self.faults.names) {
            self.tried.failed_directory_syncs += 1;
            return Err(fault());
        }
        for change in std::mem::take(&mut self.changes) {
            apply(&mut self.durable_names, &change);
        }
        Ok(())
    }
}
