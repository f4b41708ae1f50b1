//! The section `[overlay]`, and what it has in common with `[node]`: invitations, countries, wallets, folders.
//!
//! Not here: whether an invitation has expired (`join` asks once; whoever has joined stays).

use super::Check;
use super::listeners::client_authority;
use crate::cert::state_directory;
use crate::config::at::{At, Many, NOWHERE};
use crate::config::catalogue::Code;
use crate::config::file::{OverlaySection, SpreadWord};
use crate::config::report::Problem;
use crate::config::settings::OverlaySettings;
use shoalway_net::tls::Roots;
use shoalway_overlay_proto::invite::{Invite, InvitedEntry};
use shoalway_overlay_proto::network::Network;
use shoalway_overlay_proto::path::ExitWish;
use shoalway_overlay_proto::spread::Spread;
use shoalway_types::wallet::Address;
use std::path::PathBuf;

const ACTIVE: usize = 4;
const STOCK: usize = 8;

/// Checks `[overlay]`; `content` gains what its files hold.
pub(super) fn overlay(
    section: &OverlaySection,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<OverlaySettings> {
    check.enter(&["overlay"]);
    let OverlaySection { invite, network, hops, spread, exits, optimistic, stock, state, ca } = section;
    if invite.items().is_empty() && !check.is_lost("invite") {
        let problem = Problem::new(Code::Missing, NOWHERE, "[overlay] has no `invite`");
        check.add(
            problem.fix("`shoalway join --out home.invite` stores one; then write invite = \"home.invite\""),
        );
    }
    let invitations = invitations(invite, content, check);
    let file = network.as_ref().and_then(|at| network_file(at, content, check));
    let roots = ca.as_ref().map(|at| roots(at, content, check));
    let exits = exits.as_ref();
    let countries = exits.and_then(|exits| exits.countries.as_ref());
    let countries = countries.map(|list| list.items().iter().filter_map(|at| country(at, check)).collect());
    let active = exits.and_then(|exits| exits.active.as_ref()).map_or(ACTIVE, number);
    let state = state.as_ref().map_or_else(|| default_state("overlay", check), |at| check.path(at));
    let (id, invited) = invitations?;
    if let (Some(at), Some((network, _))) = (network, &file)
        && *network.id() != id
    {
        let message = "the invitations are of another network than this file";
        check.add(Problem::new(Code::NetworkFile, at.place(), message));
    }
    Some(OverlaySettings {
        network: id,
        file: file.map(|(_, text)| text),
        invited,
        hops: hops.as_ref().and_then(|at| u8::try_from(*at.get()).ok()).unwrap_or(2),
        spread: match spread.get() {
            SpreadWord::Site => Spread::Site,
            SpreadWord::Host => Spread::Host,
            SpreadWord::Connection => Spread::Connection,
            SpreadWord::Request => Spread::Request,
        },
        exits: ExitWish { active, countries: countries.unwrap_or_default(), nodes: Vec::new() },
        optimistic: optimistic.as_ref().is_some_and(|at| *at.get()),
        stock: stock.as_ref().map_or(STOCK, number),
        state,
        roots: roots.unwrap_or_default(),
    })
}

/// A whole number that its schema has bounded.
pub(super) fn number<T: TryFrom<i64> + Default>(at: &At<i64>) -> T {
    T::try_from(*at.get()).unwrap_or_default()
}

/// Where state is when nobody says.
pub(super) fn default_state(name: &str, check: &Check<'_>) -> PathBuf {
    state_directory(check.surroundings).join(name)
}

/// The invitations of these files: their network and all entries. None when there is none that can be used.
pub(super) fn invitations(
    files: &Many,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<([u8; 32], Vec<InvitedEntry>)> {
    let mut found: Option<([u8; 32], Vec<InvitedEntry>)> = None;
    for at in files.items() {
        let Some(file) = check.read(at, "the invitation") else { continue };
        check.key_is_private(at, &file.path);
        let links =
            file.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let mut any = false;
        for link in links {
            any = true;
            let bad = |message: String| Problem::new(Code::Invitation, at.place(), message);
            match (Invite::parse(link), &mut found) {
                (Err(error), _) => check.add(bad(error.to_string())),
                (Ok(invite), None) => found = Some((invite.network, invite.entries)),
                (Ok(invite), Some((network, entries))) if invite.network == *network => {
                    entries.extend(
                        invite
                            .entries
                            .into_iter()
                            .filter(|entry| !entries.contains(entry))
                            .collect::<Vec<_>>(),
                    );
                }
                (Ok(_), Some(_)) => check.add(bad("it is of another network than the one before".to_owned())),
            }
        }
        if !any {
            check.add(Problem::new(Code::Invitation, at.place(), "the file holds no link"));
        }
        content.push(file.text);
    }
    found
}

/// A network file, with its text.
pub(super) fn network_file(
    at: &At<String>,
    content: &mut Vec<String>,
    check: &mut Check<'_>,
) -> Option<(Network, String)> {
    let file = check.read(at, "the network file")?;
    match Network::begin(file.text.as_bytes()) {
        Ok(network) => {
            content.push(file.text.clone());
            Some((network, file.text))
        }
        Err(error) => {
            check.add(Problem::new(Code::NetworkFile, at.place(), error.to_string()));
            None
        }
    }
}

/// Whom others are trusted by.
pub(super) fn roots(at: &At<String>, content: &mut Vec<String>, check: &mut Check<'_>) -> Roots {
    let Some(file) = client_authority(at, check) else { return Roots::System };
    content.push(file.text.clone());
    Roots::Pem(file.text.into_bytes())
}

/// Two letters.
pub(super) fn country(at: &At<String>, check: &mut Check<'_>) -> Option<[u8; 2]> {
    let upper = at.get().to_ascii_uppercase();
    match upper.as_bytes() {
        [a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some([*a, *b]),
        _ => {
            let message = format!("`{}` is not a country", at.get());
            check.add(Problem::new(Code::Node, at.place(), message).label("two letters, such as CH"));
            None
        }
    }
}

/// The address of a wallet.
pub(super) fn wallet(at: &At<String>, check: &mut Check<'_>) -> Option<Address> {
    at.get().parse().map_err(|error| check.add(Problem::new(Code::Node, at.place(), format!("{error}")))).ok()
}
