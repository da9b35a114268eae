use std::{net::Ipv4Addr, path::PathBuf, time::SystemTime};

use anyhow::{Context, Result};
use smol::{
    future::{block_on, or},
    unblock,
};
use stateroom_host_min::Program;
use stateroom_server_smol::{AdminAddress, Server, Settings};

use super::{
    args::{DevArgs, ProjectArgs},
    client,
    guest_build::SourceError,
    limits::{Bounds, LimitArgs},
    module,
    project::Project,
    purpose::Purpose,
    serve::explain,
    signals::Signals,
    sources::Sources,
};

/// `stateroom dev`: builds and serves a guest, and repeats this when a source file has changed.
pub(crate) fn run(args: DevArgs) -> Result<()> {
    let DevArgs { project, server } = args;
    let mut settings = server.settings();
    settings.admin.get_or_insert(AdminAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
    let options = Options { project, settings, limits: server.limits };
    let signals = Signals::new().context("cannot handle signals")?;
    // A failure that no change to a source file can fix ends the command before the long work.
    let project = options.open()?;
    drop(Server::from(options.settings.clone()).bind().map_err(explain)?);
    let sources = Sources::before(&project);
    let first = options.build(&project);
    block_on(async {
        // It is not waited for again once it has ended.
        let mut ended = unblock(|| signals.wait());
        let mut built = match first {
            Err(error) if error.is::<SourceError>() => {
                log::error!("{error:#}");
                log::info!("waiting for a change");
                let rebuilt = async { Some(rebuild(&options, sources, "waiting for a change").await) };
                let ended = async {
                    // Where signals cannot be waited for, nothing else could end this.
                    _ = (&mut ended).await;
                    None
                };
                or(ended, rebuilt).await
            }
            first => Some(first?),
        };
        while let Some(Built { program, bounds, static_files, sources }) = built.take() {
            let server = bounds.server().with_static_files(static_files).with_built_in(client::FILES);
            let listener = server.bind().map_err(explain)?;
            let shutdown = or(
                async {
                    _ = (&mut ended).await;
                },
                async {
                    built = Some(rebuild(&options, sources, "the version before is still served").await)
                },
            );
            server.run_guests(program, listener, Box::pin(shutdown)).await.map_err(explain)?;
        }
        Ok(())
    })
}

/// The options of a build. Its result depends on these and on files.
#[derive(Debug, Clone)]
struct Options {
    project: ProjectArgs,
    settings: Settings,
    limits: LimitArgs,
}

/// A guest, ready to be served.
struct Built {
    program: Program,
    bounds: Bounds,
    static_files: Option<PathBuf>,
    sources: Sources,
}

impl Options {
    /// Checks everything that a build needs.
    fn open(&self) -> Result<Project> {
        let project = Project::open(self.project.clone())?;
        self.bounds(&project)?;
        Ok(project)
    }

    fn bounds(&self, project: &Project) -> Result<Bounds> {
        self.limits.over(&project.config.limits).bounds(self.settings.clone())
    }

    fn build(&self, project: &Project) -> Result<Built> {
        let bounds = self.bounds(project)?;
        let begun = SystemTime::now();
        let module = project.build(Purpose::Trial)?;
        let (_, program) = module::guest(&module, bounds.guest)?;
        let sources = Sources::of(project, &module, begun);
        Ok(Built { program, bounds, static_files: project.config.static_files.clone(), sources })
    }
}

/// Waits for a change that builds. After each failed build it prints the error and `meanwhile`.
async fn rebuild(options: &Options, mut sources: Sources, meanwhile: &str) -> Built {
    loop {
        sources.change().await;
        log::info!("a file has changed, building again");
        sources.look();
        // If it does not build, what is missing may be made here: a directory of static files, say.
        sources.watch(&options.project.path);
        let again = options.clone();
        match unblock(move || again.open().and_then(|project| again.build(&project))).await {
            Ok(built) => return built,
            Err(error) => {
                log::error!("{error:#}");
                log::info!("{meanwhile}");
            }
        }
    }
}
