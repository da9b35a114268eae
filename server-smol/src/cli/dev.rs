use std::{path::PathBuf, time::SystemTime};

use anyhow::{Context, Result};
use async_io::block_on;
use async_signal::{Signal, Signals};
use smol::{future::or, stream::StreamExt as _, unblock};
use stateroom_host_min::Program;

use super::{
    args::{DevArgs, ProjectArgs},
    module,
    project::Project,
    serve::explain,
    sources::Sources,
};

/// `stateroom dev`: builds and serves, and does so again whenever a source file has changed.
pub(crate) fn run(args: DevArgs) -> Result<()> {
    let DevArgs { project, server } = args;
    let mut signals = Signals::new([Signal::Term, Signal::Int]).context("cannot handle signals")?;
    let server = server.server();
    let mut built = Built::of(&project)?;
    block_on(async {
        loop {
            let Built { program, static_files, sources } = built;
            let server = server.clone().with_static_files(static_files);
            let listener = server.bind().map_err(explain)?;
            let mut next = None;
            let shutdown = or(
                async {
                    signals.next().await;
                },
                async { next = Some(rebuild(&project, sources).await) },
            );
            server.run(program, listener, shutdown).await.map_err(explain)?;
            match next {
                Some(again) => built = again,
                None => return Ok(()),
            }
        }
    })
}

/// A guest, ready to be served.
struct Built {
    program: Program,
    static_files: Option<PathBuf>,
    sources: Sources,
}

impl Built {
    fn of(args: &ProjectArgs) -> Result<Self> {
        let project = Project::open(args.clone())?;
        let begun = SystemTime::now();
        let module = project.build()?;
        let (_, program) = module::guest(&module)?;
        let sources = Sources::of(&project.directory, &module, begun);
        Ok(Self { program, static_files: project.config.static_files, sources })
    }
}

/// Waits for changes until one of them builds. What was built before is served in the meantime.
async fn rebuild(args: &ProjectArgs, mut sources: Sources) -> Built {
    loop {
        sources.change().await;
        log::info!("a file has changed, building again");
        sources.look();
        // If it does not build, what is missing may be made here: a directory of static files, say.
        sources.watch(&args.path);
        let again = args.clone();
        match unblock(move || Built::of(&again)).await {
            Ok(built) => return built,
            Err(error) => {
                log::error!("{error:#}");
                log::info!("the version before is still served");
            }
        }
    }
}
