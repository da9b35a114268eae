//! Servers of guests.

use std::{future::Future, net::TcpListener, pin::Pin, sync::Arc};

use stateroom_host_min::Program;

use crate::{
    error::ServeError,
    guests::{Deployment, GuestFactory},
};

use super::{Server, ServerHandle};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Rooms that run guests, compiled here. What a room does is compiled for each kind of service, in the crate that calls
/// [`serve`](Self::serve) or [`run`](Self::run) with it, and as fast or as small as that one is to be. A command that is
/// to be small calls these, and its rooms are fast all the same.
impl Server {
    /// Does what [`serve`](Self::serve) does, with settings that [fit](crate::Settings::for_guests) the program's limits.
    ///
    /// # Errors
    /// The same, and limits that contradict the settings.
    pub fn serve_guests(self, program: Program) -> Result<(), ServeError> {
        let (server, factory) = self.for_guests(program)?;
        server.serve(factory)
    }

    /// Does what [`run`](Self::run) does, with settings that [fit](crate::Settings::for_guests) the program's limits.
    ///
    /// # Errors
    /// The same, and limits that contradict the settings.
    pub fn run_guests<'a>(
        self,
        program: Program,
        listener: TcpListener,
        shutdown: Boxed<'a, ()>,
    ) -> Boxed<'a, Result<(), ServeError>> {
        Box::pin(async {
            let (server, factory) = self.for_guests(program)?;
            server.run(factory, listener, shutdown).await
        })
    }

    /// Does what [`start`](Self::start) does, with settings that [fit](crate::Settings::for_guests) the program's limits.
    ///
    /// # Errors
    /// The same, and limits that contradict the settings.
    pub fn start_guests(self, program: Program, listener: TcpListener) -> Result<ServerHandle, ServeError> {
        let (server, factory) = self.for_guests(program)?;
        let deployment = Arc::clone(&factory.0);
        let mut handle = server.start(factory, listener)?;
        handle.deployment = Some(deployment);
        Ok(handle)
    }

    fn for_guests(self, program: Program) -> Result<(Self, GuestFactory), ServeError> {
        let settings = self.settings().for_guests(program.limits()).map_err(ServeError::Settings)?;
        let deployment = Deployment::new(program, settings.recordings.clone());
        Ok((Self::from(settings), GuestFactory(deployment)))
    }
}
