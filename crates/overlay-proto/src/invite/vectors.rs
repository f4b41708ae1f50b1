//! The published vectors of invitations (ovl1 section 15).

use super::{Gate, Invite, InvitedEntry, SCHEME, check_of};
use crate::descriptor::BindingKind;
use crate::descriptor::vectors::endpoint;
use crate::identity::vectors::{DAY, NOW, outcome, terms};
use crate::kdf::Secret;
use crate::moment::UnixTime;
use crate::vectors::{assert_published, hex, named};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

fn entry(name: &str, address: &str, binding: BindingKind) -> InvitedEntry {
    InvitedEntry {
        node: terms(name).node,
        link_key: named(&format!("link key {name}")),
        gate: Gate(Secret::from(named(&format!("gate {name}")))),
        endpoint: endpoint(address, binding),
    }
}

fn invite() -> Invite {
    let entries = vec![
        entry("one", "203.0.113.7:443", BindingKind::Exporter),
        entry("two", "[2001:db8::7]:8443", BindingKind::Front),
    ];
    Invite { network: named("network"), expires: NOW.plus(30 * DAY), entries }
}

fn case(name: &str, link: &str, lab: bool, now: UnixTime) -> Value {
    let result = Invite::parse(link).and_then(|invite| invite.check(lab, now).map(|()| invite));
    let mut case =
        json!({ "name": name, "link": link, "lab": lab, "now": now.0, "outcome": outcome(&result) });
    match result {
        Ok(invite) => case["payload"] = hex(invite.encode()).into(),
        Err(error) => case["why"] = error.to_string().into(),
    }
    case
}

#[test]
fn the_vectors_of_invitations_are_published() {
    let link = invite().link().unwrap();
    let of = |name: &str, link: &str| case(name, link, false, NOW);
    // Payloads that are none, behind a check that fits.
    let made = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut payload = invite().encode();
        change(&mut payload);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        of(name, &format!("{SCHEME}1.{}.{}", text(&payload), text(&check_of(&payload))))
    };
    let mut home = invite();
    home.entries[0].endpoint.address = "10.0.0.1:443".parse().unwrap();
    let home = home.link().unwrap();
    let end = invite().expires;
    let (before, last) = link.split_at(link.len() - 1);
    assert_published(
        "invite",
        "ovl1 section 3.3: invitations, whether they can be used at a time, and their payload",
        vec![
            of("right", &link),
            case("its last second", &link, false, end),
            case("expired", &link, false, end.plus(1)),
            of("a private entry", &home),
            case("a private entry in a lab", &home, true, NOW),
            of("another scheme", &link.replacen("shoalway", "https", 1)),
            of("version 2", &link.replacen("#1.", "#2.", 1)),
            of("no version", &link.replacen("#1.", "#", 1)),
            of("no check", link.rsplit_once('.').unwrap().0),
            of("a letter changed", &format!("{before}{}", if last == "A" { "B" } else { "A" })),
            of("a letter missing", before),
            of(
                "a letter in upper case in the middle",
                &link.replacen(&link[40..44], &link[40..44].to_uppercase(), 1),
            ),
            of("a space in the middle", &format!("{} {}", &link[..50], &link[50..])),
            of("over 2000 characters", &format!("{link}{}", "A".repeat(2001 - link.len()))),
            made("a flag", &|payload| payload[0] = 1),
            made("no entry", &|payload| {
                payload.truncate(42);
                payload[41] = 0;
            }),
            made("an entry more than there are", &|payload| payload[41] = 3),
            made("an entry less than there are", &|payload| payload[41] = 1),
            made("nine entries", &|payload| payload[41] = 9),
            made("a byte too few", &|payload| payload.truncate(payload.len() - 1)),
            made("a byte too many", &|payload| payload.push(0)),
            made("binding 3", &|payload| *payload.last_mut().unwrap() = 3),
            made("one entry twice", &|payload| {
                let entry = payload[42..42 + 84 + 32].to_vec();
                payload.truncate(42);
                payload.extend_from_slice(&entry);
                payload.extend_from_slice(&entry);
            }),
        ],
    );
}
