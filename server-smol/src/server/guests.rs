//! Servers of guests.

use std::{
    fs,
    future::{Future, pending},
    pin::Pin,
    time::Instant,
};

use smol::future::{or, zip};
use stateroom_host_min::Program;

use crate::{
    error::ServeError,
    guests::{Deployment, GuestFactory, Reload},
    listen::Listeners,
    reactor::Reactor,
    settings::Settings,
};

use super::{
    Server, ServerHandle, beside,
    signals::{Caught, Signals, end},
    supervisor::Supervisor,
};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Rooms that run guests, compiled here. What a room does is compiled for each kind of service, in the crate that calls
/// [`serve`](Self::serve) or [`run`](Self::run) with it, and as fast or as small as that one is to be. A command that is
/// to be small calls these, and its rooms are fast all the same.
impl Server {
    /// Does what [`serve`](Self::serve) does, with settings that [fit](crate::Settings::for_guests) the program's limits.
    ///
    /// With SIGHUP, or if the operator wants it, `reload` returns the program again, and it
    /// [replaces](ServerHandle::replace_program) the one that runs. Or `reload` says why it cannot. The certificate is read again with
    /// SIGHUP, too.
    ///
    /// # Errors
    /// The same, and limits that contradict the settings.
    pub fn serve_guests(
        self,
        program: Program,
        reload: impl Fn() -> Result<Program, String> + Send + Sync + 'static,
        signals: Signals,
    ) -> Result<(), ServeError> {
        let (server, factory) = self.for_guests(program, Some(Box::new(reload)))?;
        server.serve_until_told(factory, signals)
    }

    fn serve_until_told(self, factory: GuestFactory, signals: Signals) -> Result<(), ServeError> {
        let Signals { end: ends, reload: hangups } = signals;
        let listeners = self.bind()?;
        let settings = self.settings().clone();
        let supervisor = Supervisor::find();
        let reactor = Reactor::new().map_err(ServeError::System)?;
        reactor.block_on(async {
            supervisor.note_starting();
            let server = self.start(factory, listeners)?;
            supervisor.note_ready();
            let reloading = async {
                while hung_up(&hangups).await {
                    supervisor.note_reloading();
                    reload_files(&settings);
                    reload_and_log(&server).await;
                    supervisor.note_ready();
                }
                pending().await
            };
            let workers = server.workers.clone();
            let working = or(reloading, supervisor.watch(&workers));
            or(or(end(&ends), server.failed()), working).await;
            supervisor.note_stopping();
            let ignoring = async {
                while hung_up(&hangups).await {
                    log::info!("nothing is loaded again (SIGHUP): the server ends");
                }
            };
            let meanwhile = zip(ignoring, supervisor.watch(&workers));
            beside(async { _ = meanwhile.await }, server.shutdown()).await
        })
    }

    /// Does what [`run`](Self::run) does, with settings that [fit](crate::Settings::for_guests) the program's limits.
    ///
    /// # Errors
    /// The same, and limits that contradict the settings.
    pub fn run_guests<'a>(
        self,
        program: Program,
        listeners: impl Into<Listeners>,
        shutdown: Boxed<'a, ()>,
    ) -> Boxed<'a, Result<(), ServeError>> {
        self.run_guests_on(program, listeners.into(), shutdown)
    }

    fn run_guests_on<'a>(
        self,
        program: Program,
        listeners: Listeners,
        shutdown: Boxed<'a, ()>,
    ) -> Boxed<'a, Result<(), ServeError>> {
        Box::pin(async {
            let (server, factory) = self.for_guests(program, None)?;
            server.run(factory, listeners, shutdown).await
        })
    }

    /// Does what [`start`](Self::start) does, with settings that [fit](crate::Settings::for_guests) the program's limits.
    ///
    /// # Errors
    /// The same, and limits that contradict the settings.
    pub fn start_guests(
        self,
        program: Program,
        listeners: impl Into<Listeners>,
    ) -> Result<ServerHandle, ServeError> {
        self.start_guests_on(program, listeners.into())
    }

    fn start_guests_on(self, program: Program, listeners: Listeners) -> Result<ServerHandle, ServeError> {
        let (server, factory) = self.for_guests(program, None)?;
        server.start_on(factory, listeners)
    }

    fn for_guests(
        self,
        program: Program,
        reload: Option<Reload>,
    ) -> Result<(Self, GuestFactory), ServeError> {
        let settings = self.settings().for_guests(program.limits()).map_err(ServeError::Settings)?;
        let deployment = Deployment::new(program, &settings, reload);
        let factory = GuestFactory::of(&deployment);
        Ok((Self { settings, deployment: Some(deployment) }, factory))
    }
}

/// Waits for SIGHUP. Returns false if that is not possible.
async fn hung_up(hangups: &Caught) -> bool {
    let waited = hangups.next().await;
    waited.map_err(|error| log::error!("cannot wait for SIGHUP: {error}")).is_ok()
}

/// Reads the certificate again, and says what has come of it. Static files are read for each request, so there is only to say
/// whether they are there.
fn reload_files(settings: &Settings) {
    #[cfg(feature = "tls")]
    settings.tls.iter().for_each(super::reload_certificate);
    if let Some(directory) = &settings.static_files
        && let Err(error) = fs::read_dir(directory)
    {
        log::error!("the static files in `{}` cannot be served: {error}", directory.display());
    }
}

/// Loads the program again, and says what has come of it.
async fn reload_and_log(server: &ServerHandle) {
    let begun = Instant::now();
    match server.reload().await {
        Ok(replacement) => {
            log::info!("replaced the module in {} ms: {replacement}", begun.elapsed().as_millis() as u64)
        }
        Err(error) => log::error!("the previous module is still served: {error}"),
    }
}
