use std::{path::PathBuf, time::SystemTime};

use anyhow::{Context, Result};
use async_io::block_on;
use async_signal::{Signal, Signals};
use smol::{future::or, stream::StreamExt as _, unblock};
use stateroom_host_min::Program;

use super::{
    args::{DevArgs, ProjectArgs},
    guest_build::Purpose,
    limits::{Bounds, LimitArgs},
    module,
    project::Project,
    serve::explain,
    sources::Sources,
};

/// `stateroom dev`: builds and serves, and does so again whenever a source file has changed.
pub(crate) fn run(args: DevArgs) -> Result<()> {
    let DevArgs { project, server } = args;
    let options = Options { project, limits: server.limits.clone() };
    let mut signals = Signals::new([Signal::Term, Signal::Int]).context("cannot handle signals")?;
    let server = server.server();
    let mut built = Built::of(&options)?;
    block_on(async {
        loop {
            let Built { program, bounds, static_files, sources } = built;
            let server = bounds.set(server.clone()).with_static_files(static_files);
            let listener = server.bind().map_err(explain)?;
            let mut next = None;
            let shutdown = or(
                async {
                    signals.next().await;
                },
                async { next = Some(rebuild(&options, sources).await) },
            );
            server.run(program, listener, shutdown).await.map_err(explain)?;
            match next {
                Some(again) => built = again,
                None => return Ok(()),
            }
        }
    })
}

/// What a build depends on beside files.
#[derive(Debug, Clone)]
struct Options {
    project: ProjectArgs,
    limits: LimitArgs,
}

/// A guest, ready to be served.
struct Built {
    program: Program,
    bounds: Bounds,
    static_files: Option<PathBuf>,
    sources: Sources,
}

impl Built {
    fn of(options: &Options) -> Result<Self> {
        let project = Project::open(options.project.clone())?;
        let bounds = options.limits.over(&project.config.limits).bounds()?;
        let begun = SystemTime::now();
        let module = project.build(Purpose::Trial)?;
        let (_, program) = module::guest(&module, bounds.guest)?;
        let sources = Sources::of(&project.directory, &module, begun);
        Ok(Self { program, bounds, static_files: project.config.static_files, sources })
    }
}

/// Waits for changes until one of them builds. What was built before is served in the meantime.
async fn rebuild(options: &Options, mut sources: Sources) -> Built {
    loop {
        sources.change().await;
        log::info!("a file has changed, building again");
        sources.look();
        // If it does not build, what is missing may be made here: a directory of static files, say.
        sources.watch(&options.project.path);
        let again = options.clone();
        match unblock(move || Built::of(&again)).await {
            Ok(built) => return built,
            Err(error) => {
                log::error!("{error:#}");
                log::info!("the version before is still served");
            }
        }
    }
}
