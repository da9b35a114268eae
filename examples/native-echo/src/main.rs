//! A native service in a smol program of its own: no WebAssembly, the server as a library.

use std::{env, error::Error, time::Duration};

use smol::Timer;
use stateroom_sdk_core::*;
use stateroom_server_smol::{Server, ShutdownPolicy};

#[derive(Default)]
struct Echo;

impl StateroomService for Echo {
    fn message(
        &mut self,
        client: ClientId,
        message: MessagePayload<'_>,
        ctx: &impl StateroomContext,
    ) {
        ctx.send_message(client, message);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    smol::block_on(async {
        let port = env::args().nth(1).map_or(Ok(8081), |port| port.parse())?;
        let server = Server::new()
            .with_port(port)
            .with_heartbeat_interval(Duration::from_secs(10))
            .with_shutdown(ShutdownPolicy::Immediate);
        // The program binds, so it knows the address; and it decides when to stop: here, after an hour.
        let listener = server.bind()?;
        println!("echo on ws://{}/ws", listener.local_addr()?);
        let an_hour = async {
            Timer::after(Duration::from_secs(3600)).await;
        };
        server
            .run(
                DefaultStateroomFactory::<Echo>::default(),
                listener,
                an_hour,
            )
            .await?;
        Ok(())
    })
}
