use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    process::{Process, own_cpu},
    report::Usage,
};

/// A meter of the server's and this process' resources, from its start to its stop.
#[derive(Debug)]
pub(crate) struct Meter {
    process: Option<Process>,
    began: Instant,
    own: Duration,
    cpu: Duration,
    resident: u64,
    /// The reading when it was stopped.
    reading: Reading,
}

/// The reading of a meter.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) time: Duration,
    pub(crate) own_cpu: Duration,
    pub(crate) server: Option<Usage>,
}

impl Meter {
    pub(crate) fn start(process: Option<Process>) -> Result<Self> {
        let (cpu, resident) = match process {
            Some(process) => (process.cpu()?, process.resident()?),
            None => Default::default(),
        };
        let (began, own) = (Instant::now(), own_cpu());
        Ok(Self { process, began, own, cpu, resident, reading: Reading::default() })
    }

    /// Reads it.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let time = self.began.elapsed();
        let own_cpu = own_cpu().saturating_sub(self.own);
        let server = match self.process {
            Some(process) => Some(Usage {
                cpu: process.cpu()?.saturating_sub(self.cpu),
                resident: [self.resident, process.resident()?],
                connections: 0,
            }),
            None => None,
        };
        self.reading = Reading { time, own_cpu, server };
        Ok(())
    }

    pub(crate) fn reading(&self) -> Reading {
        self.reading
    }
}
