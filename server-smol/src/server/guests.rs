//! Servers of guests.

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Instant,
};

use smol::future::or;
use stateroom_host_min::Program;

use crate::{
    error::ServeError,
    guests::{Deployment, GuestFactory, Reload},
    listen::Listeners,
    reactor::Reactor,
};

use super::{Server, ServerHandle, end, signals::Signals};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Rooms that run guests, compiled here. What a room does is compiled for each kind of service, in the crate that calls
/// [`serve`](Self::serve) or [`run`](Self::run) with it, and as fast or as small as that one is to be. A command that is
/// to be small calls these, and its rooms are fast all the same.
impl Server {
    /// Does what [`serve`](Self::serve) does, with settings that [fit](crate::Settings::for_guests) the program's limits.
    ///
    /// With SIGHUP, or if the operator wants it, `reload` returns the program again, and it
    /// [replaces](ServerHandle::replace_program) the one that runs. Or `reload` says why it cannot.
    ///
    /// # Errors
    /// The same, and limits that contradict the settings.
    pub fn serve_guests(
        self,
        program: Program,
        reload: impl Fn() -> Result<Program, String> + Send + Sync + 'static,
    ) -> Result<(), ServeError> {
        // Before anyone can know that the server runs, and tell it something.
        let signals = Signals::of_end().map_err(ServeError::System)?;
        let hangups = Signals::of_reload().map_err(ServeError::System)?;
        let (server, factory) = self.for_guests(program, Some(Box::new(reload)))?;
        let listeners = server.bind()?;
        #[cfg(feature = "tls")]
        let tls = server.settings().tls.clone();
        let reactor = Reactor::new().map_err(ServeError::System)?;
        reactor.block_on(async {
            let server = server.start(factory, listeners)?;
            let reloading = async {
                loop {
                    match hangups.next().await {
                        Ok(()) => {
                            #[cfg(feature = "tls")]
                            tls.iter().for_each(super::reload_certificate);
                            reload_and_log(&server).await;
                        }
                        Err(error) => {
                            log::error!("cannot wait for SIGHUP: {error}");
                            return pending().await;
                        }
                    }
                }
            };
            or(or(end(&signals), server.failed()), reloading).await;
            server.shutdown().await
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
