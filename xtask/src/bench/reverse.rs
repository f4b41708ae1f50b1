//! `cargo xtask bench reverse`: reverse proxies, plain and with TLS, and relays of TCP.
//!
//! What is measured stands in `reverse/case.rs`, how a peer is set up in `reverse/setup.rs`, how it is asked in
//! `reverse/demand.rs`.

mod case;
mod demand;
mod h2load;
mod idle;
mod latency;
mod reload;
mod setup;

use anyhow::Result;

use super::certificate::{self, Certificate};
use super::load::Origin;
use super::machine;
use super::options::Options;
use super::peer::Peer;
use super::rounds::{self, Contender};
use super::site::Running;

pub(super) use case::Case;
use setup::Service;

/// This benchmark's run, with what all its cases share.
struct Bench {
    run: super::Bench<Case>,
    certificate: Certificate,
}

/// Runs the wanted cases.
///
/// # Errors
/// When load or origin do not work, or no certificate can be made.
pub(super) fn run(options: Options<Case>) -> Result<()> {
    let run = super::Bench::prepare(options)?;
    let certificate = Certificate::make()?;
    let bench = Bench { run, certificate };
    for case in bench.run.options.cases() {
        if case.needs_h2load() && machine::find_program(h2load::PROGRAM).is_none() {
            eprintln!(
                "{}: left out, needs h2load: apt-get install --yes --no-install-recommends nghttp2-client",
                case.title()
            );
            continue;
        }
        let origin = Origin::start(&bench.run.programs, &bench.run.cores)?;
        match case {
            Case::Idle => idle::run(&bench, &origin)?,
            Case::Latency => latency::run(&bench, &origin)?,
            Case::Reload => reload::run(&bench, &origin)?,
            Case::H1Small
            | Case::H1Middle
            | Case::BodySmall
            | Case::BodyLarge
            | Case::H2
            | Case::H2Bulk
            | Case::TlsHandshake
            | Case::TlsBulk
            | Case::L4Bulk
            | Case::L4Connect => {
                rounds::run(bench.run.pace(), case.job(), contenders(&bench, case, &origin))?;
            }
        }
    }
    Ok(())
}

impl Bench {
    /// The peers that take part in `case`.
    fn peers(&self, case: Case) -> Vec<Peer> {
        let can = |peer: &Peer| case.peers().contains(peer) && self.run.peers.contains(peer);
        Peer::REVERSE.into_iter().filter(can).collect()
    }

    /// Starts `peer` and waits until the door of `case` is open.
    ///
    /// # Errors
    /// When it does not come up.
    fn start(&self, peer: Peer, case: Case, origin: &Origin, service: Service) -> Result<Running> {
        let site = setup::prepare(peer, origin.ports, &self.certificate)?;
        let command = setup::command(peer, &site.dir, &self.run.programs.ours(), service);
        Running::start(command, site, case.door(), &self.run.cores)
    }
}

fn contenders<'a>(bench: &'a Bench, case: Case, origin: &'a Origin) -> Vec<Contender<'a>> {
    let contender = |peer: Peer| Contender {
        name: peer.name(),
        role: case.role(),
        ours: peer == Peer::Shoalway,
        competes: true,
        most: case.most(),
        start: Box::new(move || bench.start(peer, case, origin, Service::Steady)),
        load: Box::new(move |running, amount| demand::run(bench, case, running, origin, amount)),
    };
    bench.peers(case).into_iter().map(contender).collect()
}
