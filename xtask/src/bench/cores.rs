//! Two cores: one for the proxy alone, one for load and origin. Children inherit the core of the thread that starts them.

use std::process::{Child, Command};

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The cores of a run.
#[derive(Clone, Debug)]
pub(super) struct Cores {
    /// Where the measured proxy runs.
    pub(super) proxy: usize,
    /// Where load and origin run.
    pub(super) load: usize,
    all: CpuSet,
}

impl Cores {
    /// The last two cores this process may use: the first one often serves the machine's interrupts.
    ///
    /// # Errors
    /// When there is only one.
    pub(super) fn choose() -> Result<Self> {
        let all = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).rev().filter(|core| all.is_set(*core));
        let proxy = usable.next().context("no core")?;
        let load = usable.next().context("two cores are needed: one for the proxy, one for the load")?;
        Ok(Self { proxy, load, all })
    }

    /// Starts `command` on `core`; its children stay there too.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(super) fn spawn(&self, core: usize, command: &mut Command) -> Result<Child> {
        let mut one = CpuSet::new();
        one.set(core);
        sched_setaffinity(None, &one)?;
        let child = command.spawn();
        sched_setaffinity(None, &self.all)?;
        child.with_context(|| format!("{} does not start", command.get_program().to_string_lossy()))
    }
}
