mod actions;
mod pages;
mod sources;
mod terminal;

use std::{
    mem,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    path::PathBuf,
    pin::pin,
    time::{Instant, SystemTime},
};

use anyhow::{Context, Result};
use serde_json::json;
use smol::{
    future::{block_on, or},
    unblock,
};
use stateroom_host_min::Program;
use stateroom_server_smol::{
    AdminAddress, AllowedOrigin, Listeners, Notices, Server, ServerHandle, Settings, Subprotocol, Upgrade,
};

use crate::{
    args::{DevArgs, ProjectArgs},
    browser, client, color,
    guest_build::SourceError,
    limits::{Bounds, Chosen, LimitArgs},
    module, playground,
    project::Project,
    purpose::Purpose,
    serve::explain,
};

use self::{
    actions::{Action, Actions},
    sources::Sources,
};

/// The memory for the events of rooms, in bytes. They run again in the next version.
const RECORDINGS: usize = 64 << 20;

/// The maximum size of the errors that the playground gets, in bytes. An event for it has at most 64 KiB.
const MOST_TOLD: usize = 48 << 10;

/// `stateroom dev`: builds and serves a guest, and repeats this when a source file has changed.
pub(crate) fn run(args: DevArgs) -> Result<()> {
    let DevArgs { project, server, open } = args;
    let mut settings = server.settings()?;
    // What is being written is for nobody else, unless they are let in.
    settings.ip = server.ip().unwrap_or(Ipv4Addr::LOCALHOST.into());
    // Pages are on their way, too: in files, or on the ports of other tools.
    let any = !server.chooses_origins();
    // Not with the cookies of their visitors.
    #[cfg(feature = "auth")]
    let any = any && !server.access.has_cookie();
    if any {
        settings.allowed_origins = vec![AllowedOrigin::ANY];
    }
    // Its author looks at the page, not at the log.
    settings.show_failures = true;
    settings.recordings.memory = RECORDINGS;
    settings.recordings.failures = true;
    settings.upgrade = Upgrade::Reset;
    settings.admin.get_or_insert(AdminAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
    let notices = Notices::default();
    settings.playground = Some(playground::new().with_notices(notices.clone()).with_public(true));
    let mut options = Options { project, settings, limits: server.limits, notices };
    let actions = Actions::listen().context("cannot handle signals")?;
    // A failure that no change to a source file can fix ends the command before the long work.
    let project = options.open()?;
    options.settings.recordings.directory = project.package.target_directory.join("recordings");
    drop(options.bind()?);
    let sources = Sources::before(&project);
    let first = options.build(&project, &sources);
    block_on(async {
        let first = match first {
            Err(error) if error.is::<SourceError>() => {
                log::error!("{error:#}");
                log::info!("waiting for a change");
                options.first(sources, &actions).await
            }
            first => Some(first?),
        };
        match first {
            Some(first) => options.serve(first, &actions, open).await,
            None => Ok(()),
        }
    })
}

/// The options of a build. Its result depends on these and on files.
#[derive(Debug, Clone)]
struct Options {
    project: ProjectArgs,
    settings: Settings,
    limits: LimitArgs,
    /// The state of the build, for the playground.
    notices: Notices,
}

/// A guest, ready to be served.
#[derive(Debug, Clone)]
struct Built {
    program: Program,
    limits: Chosen,
    bounds: Bounds,
    static_files: Option<PathBuf>,
    subprotocols: Vec<Subprotocol>,
    sources: Sources,
}

impl Built {
    /// Returns true if the two differ in nothing but their module.
    fn is_version_of(&self, other: &Self) -> bool {
        self.limits.has_values_of(&other.limits)
            && self.static_files == other.static_files
            && self.subprotocols == other.subprotocols
    }

    fn start(&self, listeners: &Listeners) -> Result<ServerHandle> {
        let listeners = listeners.try_clone().context("cannot listen again")?;
        let server = self.bounds.server();
        let server = server.with_static_files(self.static_files.clone()).with_built_in(client::FILES_OF_DEV);
        server.start_guests(self.program.clone(), listeners).map_err(explain)
    }
}

/// The next thing to happen while a guest is served, or waited for.
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Next {
    Built(Built),
    Action(Action),
    /// The server has failed.
    Failed,
}

impl Options {
    /// Checks everything that a build needs.
    fn open(&self) -> Result<Project> {
        let project = Project::open(self.project.clone())?;
        self.limits_of(&project).bounds(self.settings.clone())?;
        Ok(project)
    }

    fn bind(&self) -> Result<Listeners> {
        Server::from(self.settings.clone()).bind().map_err(explain)
    }

    fn limits_of(&self, project: &Project) -> Chosen {
        self.limits.over(&project.config.limits)
    }

    /// Builds `project`, and tells the playground about it. `before` are its files as they are now.
    fn build(&self, project: &Project, before: &Sources) -> Result<Built> {
        self.tell(|| self.build_quietly(project, before))
    }

    /// Reads the settings of the project again, builds, and tells the playground about it.
    fn build_again(&self, before: &Sources) -> Result<Built> {
        self.tell(|| self.build_quietly(&self.open()?, before))
    }

    fn tell(&self, build: impl FnOnce() -> Result<Built>) -> Result<Built> {
        let begun = Instant::now();
        let tell = |state| self.notices.set("build", &serde_json::Value::to_string(&state));
        tell(json!({ "state": "building" }));
        let built = build();
        tell(match &built {
            Ok(_) => json!({ "state": "done", "ms": begun.elapsed().as_millis() as u64 }),
            Err(error) => json!({ "state": "failed", "error": for_page(error) }),
        });
        built
    }

    fn build_quietly(&self, project: &Project, before: &Sources) -> Result<Built> {
        let limits = self.limits_of(project);
        let mut settings = self.settings.clone();
        settings.subprotocols.extend(project.config.subprotocols.iter().cloned());
        let subprotocols = settings.subprotocols.clone();
        let bounds = limits.bounds(settings)?;
        let begun = SystemTime::now();
        let path = project.build(Purpose::Trial)?;
        let program = module::guest(&path, bounds.guest)?;
        let sources = Sources::of(project, &path, begun, before);
        let static_files = project.config.static_files.clone();
        Ok(Built { program, limits, bounds, static_files, subprotocols, sources })
    }

    /// Waits for a change that builds. After each failed build it prints the error and `meanwhile`.
    async fn rebuild(&self, mut sources: Sources, meanwhile: &str) -> Built {
        loop {
            sources.change().await;
            log::info!("a file has changed, building again");
            sources.look();
            // If it does not build, what is missing may be made here: a directory of static files, say.
            sources.watch(&self.project.path);
            let (again, before) = (self.clone(), sources.clone());
            match unblock(move || again.build_again(&before)).await {
                Ok(built) => return built,
                Err(error) => {
                    log::error!("{error:#}");
                    log::info!("{meanwhile}");
                }
            }
        }
    }

    /// Waits for the first guest that builds. Returns `None` if the command is to end.
    async fn first(&self, sources: Sources, actions: &Actions) -> Option<Built> {
        let mut rebuilt = pin!(self.rebuild(sources, "waiting for a change"));
        loop {
            let action = async { Next::Action(actions.next().await) };
            let built = async { Next::Built(rebuilt.as_mut().await) };
            match or(action, built).await {
                Next::Built(built) => return Some(built),
                Next::Action(Action::Open | Action::Reset) => log::info!("nothing is served yet"),
                Next::Action(Action::End) | Next::Failed => return None,
            }
        }
    }

    /// Serves a guest, and then those that replace it, until the command is to end.
    async fn serve(&self, first: Built, actions: &Actions, mut open: bool) -> Result<()> {
        // It stays while servers come and go. A client that connects in between waits for the next one.
        let listeners = self.bind()?;
        let (mut serving, mut announced) = (Some(first), false);
        while let Some(built) = serving.take() {
            let handle = built.start(&listeners)?;
            if !mem::replace(&mut announced, true) {
                announce_to_network(handle.address());
                actions.announce();
            }
            if mem::take(&mut open) {
                browser::open(&page(&handle));
            }
            serving = self.successor(built, &handle, actions).await;
            if serving.is_some() {
                let clients = handle.stats().await.map_or(0, |stats| stats.clients);
                log::info!("restarting: {}", disconnected(clients));
                handle.begin_restart();
            }
            handle.shutdown().await.map_err(explain)?;
        }
        Ok(())
    }

    /// Waits until another guest is to be served in place of this one, or nothing is.
    async fn successor(&self, mut serving: Built, handle: &ServerHandle, actions: &Actions) -> Option<Built> {
        let mut watching = pin!(pages::watch(serving.static_files.clone(), &self.notices));
        loop {
            let rebuilt = self.rebuild(serving.sources.clone(), "the version before is still served");
            let mut rebuilt = pin!(rebuilt);
            let built = loop {
                let action = async { Next::Action(actions.next().await) };
                let built = async { Next::Built(rebuilt.as_mut().await) };
                let failed = async {
                    handle.failed().await;
                    Next::Failed
                };
                let watched = async { match watching.as_mut().await {} };
                match or(or(action, failed), or(built, watched)).await {
                    Next::Built(built) => break built,
                    Next::Action(Action::Open) => browser::open(&page(handle)),
                    Next::Action(Action::Reset) => {
                        if !until_end(reset(handle), actions).await {
                            return None;
                        }
                    }
                    Next::Action(Action::End) | Next::Failed => return None,
                }
            };
            if !built.is_version_of(&serving) {
                return Some(built);
            }
            if built.program.hash() == serving.program.hash() {
                log::info!("the module has not changed: rooms and clients stay");
            } else if !until_end(replace(handle, &built), actions).await {
                return None;
            }
            serving = built;
        }
    }
}

/// Returns the text of a failed build for the playground.
fn for_page(error: &anyhow::Error) -> String {
    let printed = error.downcast_ref::<SourceError>().map_or("", |error| &error.printed);
    let mut text = color::without(&format!("{printed}{error:#}"));
    text.truncate(text.floor_char_boundary(MOST_TOLD));
    if printed.is_empty() && text.contains(" above") {
        // Cargo prints its own errors only there.
        format!("{text} (in the terminal of `stateroom dev`)")
    } else {
        text
    }
}

/// Waits for `work`. Returns false if the command is to end before that.
async fn until_end(work: impl Future<Output = ()>, actions: &Actions) -> bool {
    let done = async {
        work.await;
        true
    };
    let ended = async {
        // What else is asked for meanwhile is forgotten.
        while actions.next().await != Action::End {}
        false
    };
    or(done, ended).await
}

/// Lets all rooms run another module.
async fn replace(handle: &ServerHandle, built: &Built) {
    let begun = Instant::now();
    if let Ok(replacement) = handle.replace_program(built.program.clone()).await {
        log::info!("replaced the module in {} ms: {replacement}", begun.elapsed().as_millis());
    }
}

/// Lets all rooms start afresh.
async fn reset(handle: &ServerHandle) {
    if let Ok(replacement) = handle.reset_rooms().await {
        log::info!("{replacement}");
    }
}

/// Returns the address of the page to look at: the guest's own, or the playground.
fn page(handle: &ServerHandle) -> String {
    format!("http://{}/", handle.local_host())
}

/// Says how many clients a restart disconnects.
fn disconnected(clients: usize) -> String {
    match clients {
        0 => "no client was connected".to_owned(),
        1 => "1 client is disconnected".to_owned(),
        _ => format!("{clients} clients are disconnected"),
    }
}

/// Logs the address by which other machines reach a server that listens on all of them.
fn announce_to_network(address: SocketAddr) {
    if address.ip().is_unspecified()
        && let Some(ip) = network_ip()
    {
        log::info!(
            "other machines in the network reach it at http://{}/",
            SocketAddr::new(ip, address.port())
        );
        log::warn!("whoever reaches it sees all rooms in the playground, and may end them");
    }
}

/// Returns the address that this machine has in its network, if it is in one.
fn network_ip() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    // The system chooses it for packets to elsewhere (to an address for documentation). None is sent.
    socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_tells_how_many_it_disconnects() {
        assert_eq!(disconnected(0), "no client was connected");
        assert_eq!(disconnected(1), "1 client is disconnected");
        assert_eq!(disconnected(12), "12 clients are disconnected");
    }
}
