use anyhow::Result;

use super::{args::DevArgs, module, project::Project, serve::serve};

/// `stateroom dev`
pub(crate) fn run(args: DevArgs) -> Result<()> {
    let project = Project::open(args.project)?;
    let program = module::read(&project.build()?)?;
    let server = args.server.server().with_static_files(project.config.static_files);
    serve(server, program)
}
