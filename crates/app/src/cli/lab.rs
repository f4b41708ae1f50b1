//! Flags of `lab`.
//!
//! Not here: the lab (`crate::lab`).

use crate::lab::LabOptions;
use crate::lab::places::EXITS;
use crate::lab::sockets::Wanted;
use clap::Args;
use shoalway_overlay_proto::spread::Spread;
use shoalway_types::DomainName;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the proxy listens unless it is said.
const USUAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3128);

/// Flags of `lab`.
#[derive(Args)]
pub struct LabArgs {
    /// What shares an exit: site, host, connection or request
    #[arg(long, default_value = "site")]
    pub spread: Spread,
    /// Exits in use at once
    #[arg(long, value_name = "K", default_value_t = EXITS, value_parser = clap::value_parser!(u8).range(1..=i64::from(EXITS)))]
    pub exits: u8,
    /// Hops of a path: 2 or 3
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    pub hops: u8,
    /// Where the proxy listens; else 127.0.0.1:3128 or the next free port. With port 0 all of the lab takes free ports
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// A further name that the exits know, on this machine; may be given several times
    #[arg(long = "name", value_name = "NAME=ADDRESS", value_parser = name)]
    pub names: Vec<(DomainName, IpAddr)>,
    /// Load the page, say which exit carried what, and end; exit code 1 when something of it is missing
    #[arg(long)]
    pub once: bool,
}

impl From<LabArgs> for LabOptions {
    fn from(args: LabArgs) -> Self {
        Self {
            spread: args.spread,
            exits: args.exits,
            hops: args.hops,
            listen: args.listen.map_or(Wanted::Near(USUAL), Wanted::Here),
            names: args.names,
            once: args.once,
        }
    }
}

fn name(text: &str) -> Result<(DomainName, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("it is not NAME=ADDRESS")?;
    let name = DomainName::parse(name).map_err(|error| error.to_string())?;
    let address: IpAddr = address.parse().map_err(|_no_address| format!("`{address}` is no address"))?;
    if !address.is_loopback() {
        return Err("a lab reaches this machine alone: an address such as 127.0.0.1".to_owned());
    }
    Ok((name, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_this_machine() {
        let (shop, address) = name("Shop.internal=127.0.0.1").unwrap();
        assert_eq!((shop.as_str(), address), ("shop.internal", IpAddr::V4(Ipv4Addr::LOCALHOST)));
        for bad in ["shop.internal", "shop.internal=here", "=127.0.0.1", "shop.internal=192.0.2.1"] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
