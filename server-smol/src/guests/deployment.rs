use std::{
    collections::VecDeque,
    fmt, io,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use stateroom_core::{
    ClientId,
    engine::{EngineContext, EngineFactory, Renewal},
};
use stateroom_host_min::{Limits, Program, Records, Trap};

use crate::{
    journal::Modules,
    settings::{Settings, Upgrade},
};

use super::{durable, guest_room::GuestRoom, recording::Recordings};

/// Returns the program anew, from wherever it came, or the reason why this is not possible.
pub(crate) type Reload = Box<dyn Fn() -> Result<Program, String> + Send + Sync>;

/// The program that the rooms of a server run. It can be replaced while they do.
pub(crate) struct Deployment {
    releases: RwLock<Releases>,
    /// Held while a program is loaded again, so that the one that was read last is deployed last.
    reloading: Mutex<()>,
    reload: Option<Reload>,
    pub(super) recordings: Arc<Recordings>,
    upgrade: Upgrade,
    /// True if the events of rooms are kept in memory.
    has_recordings: bool,
    /// The modules that rooms on disk need, if rooms are kept there.
    modules: OnceLock<Modules>,
}

#[derive(Debug)]
struct Releases {
    current: Arc<Release>,
    /// All that rooms may still run.
    all: Vec<Weak<Release>>,
    /// Those that rooms from the disk needed last. Rooms come and go, and to load a module takes a while.
    kept: VecDeque<Arc<Release>>,
}

/// The number of releases that are kept for rooms on disk.
const KEPT: usize = 4;

/// A program that has been deployed.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) program: Program,
    /// True if rooms that exist already start afresh with it.
    pub(super) is_reset: bool,
    /// The number of rooms that run it.
    rooms: AtomicUsize,
}

/// The release that a room runs.
#[derive(Debug)]
pub(super) struct Deployed(Arc<Release>);

/// A program that runs, as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModuleStatus {
    pub(crate) hash: [u8; 32],
    pub(crate) rooms: usize,
    pub(crate) is_current: bool,
}

impl Release {
    fn new(program: Program, is_reset: bool) -> Arc<Self> {
        Arc::new(Self { program, is_reset, rooms: AtomicUsize::new(0) })
    }
}

impl Deployment {
    /// Deploys a first program.
    pub(crate) fn new(program: Program, settings: &Settings, reload: Option<Reload>) -> Arc<Self> {
        let current = Release::new(program, false);
        let all = vec![Arc::downgrade(&current)];
        Arc::new(Self {
            releases: RwLock::new(Releases { current, all, kept: VecDeque::new() }),
            reloading: Mutex::new(()),
            reload,
            recordings: Recordings::new(settings.recordings.clone()),
            upgrade: settings.upgrade,
            has_recordings: settings.recordings.memory > 0,
            modules: OnceLock::new(),
        })
    }

    /// Keeps the modules of rooms on disk, beginning with the current one.
    ///
    /// # Errors
    /// It cannot be written, or its program has not [kept it](Program::load_and_keep).
    pub(crate) fn keep_modules(&self, modules: Modules) -> io::Result<()> {
        keep(&modules, &self.current().program)?;
        let _ = self.modules.set(modules);
        Ok(())
    }

    /// Returns the modules of rooms on disk, if rooms are kept there.
    #[cfg(feature = "rooms")]
    pub(crate) fn kept_modules(&self) -> Option<&Modules> {
        self.modules.get()
    }

    /// Returns the limits of new rooms.
    #[cfg(feature = "rooms")]
    pub(crate) fn limits(&self) -> Limits {
        *self.current().program.limits()
    }

    /// Returns whether rooms are kept on disk.
    pub(super) fn is_durable(&self) -> bool {
        self.modules.get().is_some()
    }

    /// Deploys another program. New rooms run it. Rooms that exist [are renewed](EngineFactory::renew).
    ///
    /// # Errors
    /// Rooms are kept on disk, and the module cannot be kept.
    pub(crate) fn replace(&self, program: Program) -> io::Result<()> {
        // The same with the same limits needs no renewal.
        let current = self.current();
        if (program.hash(), program.limits()) != (current.program.hash(), current.program.limits()) {
            self.modules.get().map_or(Ok(()), |modules| keep(modules, &program))?;
            self.warn_of_lost_state(&current.program, &program);
            self.release(Release::new(program, false));
        }
        Ok(())
    }

    /// Says what becomes of rooms that cannot take their state along.
    fn warn_of_lost_state(&self, old: &Program, new: &Program) {
        let reason = match (old.saves_state(), new.loads_state()) {
            _ if self.has_recordings => return,
            (true, true) => return,
            (false, _) => "the running module does not save its state",
            (true, false) => "the new module does not load a state",
        };
        let rooms = match self.upgrade {
            Upgrade::Keep => "keep their module",
            Upgrade::Reset => "start afresh",
        };
        log::warn!("{reason}, so its rooms {rooms} (`--upgrade`)");
    }

    /// Deploys the program that there is now where the present one came from.
    ///
    /// # Errors
    /// Says why this is not possible.
    pub(crate) fn reload(&self) -> Result<(), String> {
        let reload = self.reload.as_ref().ok_or("this server does not know where its module came from")?;
        let _reloading = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        self.replace(reload()?).map_err(|error| format!("its module cannot be kept: {error}"))
    }

    /// Makes all rooms start afresh when they are renewed.
    pub(crate) fn reset(&self) {
        let program = self.current().program.clone();
        self.release(Release::new(program, true));
    }

    fn release(&self, release: Arc<Release>) {
        let mut releases = self.releases.write().unwrap_or_else(PoisonError::into_inner);
        releases.all.retain(|release| release.strong_count() > 0);
        releases.all.push(Arc::downgrade(&release));
        releases.current = release;
    }

    /// Returns the release that a room on disk runs, which may be an older one.
    ///
    /// # Errors
    /// Says why the room cannot run.
    fn release_of(&self, hash: [u8; 32], limits: &Limits) -> Result<Arc<Release>, String> {
        let is = |release: &Release| release.program.hash() == hash && release.program.limits() == limits;
        let current = self.current();
        if is(&current) {
            return Ok(current);
        }
        let find =
            |releases: &Releases| releases.all.iter().filter_map(Weak::upgrade).find(|release| is(release));
        if let Some(release) = find(&self.releases.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(release);
        }
        let modules = self.modules.get().ok_or("no modules are kept")?;
        let module = modules.read(&hash).map_err(|error| format!("its module cannot be read: {error}"))?;
        let program = Program::load(&module, *limits)
            .map_err(|error| format!("its module cannot be loaded: {error}"))?;
        let mut releases = self.releases.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have loaded it meanwhile.
        if let Some(release) = find(&releases) {
            return Ok(release);
        }
        let release = Release::new(program, false);
        releases.all.retain(|release| release.strong_count() > 0);
        releases.all.insert(0, Arc::downgrade(&release));
        releases.kept.truncate(KEPT - 1);
        releases.kept.push_front(Arc::clone(&release));
        Ok(release)
    }

    fn current(&self) -> Arc<Release> {
        Arc::clone(&self.releases.read().unwrap_or_else(PoisonError::into_inner).current)
    }

    /// Returns the programs that run, from the oldest to the current one.
    pub(crate) fn modules(&self) -> Vec<ModuleStatus> {
        let releases = self.releases.read().unwrap_or_else(PoisonError::into_inner);
        let mut modules: Vec<ModuleStatus> = Vec::new();
        for release in releases.all.iter().filter_map(Weak::upgrade) {
            let rooms = release.rooms.load(Ordering::Relaxed);
            let is_current = Arc::ptr_eq(&release, &releases.current);
            let hash = release.program.hash();
            match modules.iter_mut().find(|module| module.hash == hash) {
                Some(module) => {
                    module.rooms += rooms;
                    module.is_current |= is_current;
                }
                None if rooms > 0 || is_current => modules.push(ModuleStatus { hash, rooms, is_current }),
                None => {}
            }
        }
        modules
    }
}

/// Keeps the module of a program.
fn keep(modules: &Modules, program: &Program) -> io::Result<()> {
    let without = || io::Error::other("the program does not have its module: use `Program::load_and_keep`");
    modules.keep(&program.hash(), program.module().ok_or_else(without)?)
}

impl Deployed {
    pub(super) fn new(release: &Arc<Release>) -> Self {
        release.rooms.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(release))
    }

    /// Returns true if it is this release.
    pub(super) fn is(&self, release: &Arc<Release>) -> bool {
        Arc::ptr_eq(&self.0, release)
    }

    pub(super) fn program(&self) -> &Program {
        &self.0.program
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        self.0.rooms.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment").field("releases", &self.releases).finish_non_exhaustive()
    }
}

/// Builds the rooms of a [`Deployment`].
#[derive(Debug, Clone)]
pub(crate) struct GuestFactory(Arc<Deployment>);

impl GuestFactory {
    pub(crate) fn of(deployment: &Arc<Deployment>) -> Self {
        Self(Arc::clone(deployment))
    }
}

impl EngineFactory for GuestFactory {
    type Engine = GuestRoom;
    type Error = Trap;

    fn build(&self, room_id: &str, context: &impl EngineContext) -> Result<GuestRoom, Trap> {
        GuestRoom::new(&self.0.current(), room_id, &self.0.recordings, self.0.is_durable(), context)
    }

    fn is_durable(&self) -> bool {
        true
    }

    fn restore(
        &self,
        _room_id: &str,
        base: &[u8],
        records: &[u8],
        context: &impl EngineContext,
    ) -> Option<GuestRoom> {
        let restored = durable::read(base).and_then(|base| {
            let release = self.0.release_of(base.header.module_hash, &base.header.limits)?;
            let room = base.start(&release.program).map_err(|error| error.to_string())?;
            Ok((release, room))
        });
        match restored {
            Ok((release, room)) => Some(GuestRoom::restored(&release, room, records)),
            Err(reason) => {
                context.warn(&format_args!("it cannot be restored: {reason}"));
                None
            }
        }
    }

    fn each_sender(&self, record: &[u8], each: &mut dyn FnMut(ClientId)) {
        Records::new(record).each_sender(each);
    }

    fn room_size(&self) -> usize {
        self.0.current().program.room_size()
    }

    fn can_migrate(&self, room: &GuestRoom) -> bool {
        room.can_migrate(&self.0.current())
    }

    fn renew(&self, room: &mut GuestRoom, context: &impl EngineContext) -> Renewal {
        room.renew(&self.0.current(), self.0.upgrade, context)
    }

    fn cancel_renewal(&self, room: &mut GuestRoom) {
        room.cancel_renewal();
    }
}
