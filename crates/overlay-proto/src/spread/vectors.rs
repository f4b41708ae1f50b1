//! The published choices: five units over four exits, in their order, of equal weights and of others.

use super::{Affinity, Isolation, Pins, Spread, SpreadSecret, Weighted, choose, registered_domain, unit};
use crate::Moment;
use crate::vectors::{assert_published, hex, named};
use serde_json::{Value, json};
use shoalway_types::Host;
use shoalway_types::wallet::Address;

const AFFINITY: &str = "example.com example-static.net\nexample.org\n";

/// A flow: how it is spread, listener, user, password, host, number.
type Asked = (Spread, &'static str, &'static str, &'static str, &'static str, u64);

const ASKED: [Asked; 5] = [
    (Spread::Site, "127.0.0.1:1080", "", "", "www.example.co.uk", 1),
    (Spread::Site, "127.0.0.1:1080", "page 7", "secret", "img.example-static.net", 2),
    (Spread::Host, "127.0.0.1:1080", "", "", "192.0.2.7", 3),
    (Spread::Connection, "127.0.0.1:3128", "anna", "", "www.example.co.uk", 4),
    (Spread::Request, "127.0.0.1:3128", "", "", "www.example.co.uk", u64::MAX),
];

fn exit(number: u8) -> Address {
    let mut address = Address([0; 20]);
    address.0.copy_from_slice(&named(&format!("exit {number}"))[..20]);
    address
}

fn session(name: &str, weights: [f64; 4]) -> Value {
    let secret_bytes = named(name);
    let (secret, mut pins) = (SpreadSecret::new(&secret_bytes), Pins::default());
    let affinity = Affinity::parse(AFFINITY).unwrap();
    let exits: Vec<Weighted> =
        (1..).zip(weights).map(|(number, weight)| Weighted { exit: exit(number), weight }).collect();
    let units: Vec<Value> = ASKED
        .iter()
        .map(|(spread, listener, user, password, host, serial)| {
            let isolation =
                Isolation { listener, user: user.as_bytes(), password: password.as_bytes() };
            let parsed = Host::parse(host).unwrap();
            let id = unit(*spread, &isolation, &parsed, *serial, &affinity);
            let hashed = choose(&secret, &id, &exits, &[]).unwrap();
            let without = choose(&secret, &id, &exits, &[hashed]).unwrap();
            let pinned = pins.begin(id, &secret, &exits, Moment(0)).unwrap();
            json!({
                "spread": spread.to_string(), "listener": listener, "user": hex(user), "password": hex(password),
                "host": host, "registered_domain": registered_domain(&parsed), "serial": serial,
                "unit": hex(id.0), "hashed": hex(hashed.0), "hashed_without_it": hex(without.0),
                "pinned": hex(pinned.exit.0),
            })
        })
        .collect();
    let exits: Vec<Value> =
        exits.iter().map(|one| json!({ "exit": hex(one.exit.0), "weight": one.weight })).collect();
    json!({
        "name": name, "secret": hex(secret_bytes), "affinity": AFFINITY, "exits": exits, "units": units,
    })
}

#[test]
fn published_choices_are_these() {
    let about = "Choice of exits (section 11): what hashing says for each unit, what it says without that exit, and \
                 where the unit is pinned when units come in this order and no exit takes more than its share.";
    let cases = vec![session("equal weights", [1.0; 4]), session("other weights", [1.0, 2.0, 5.0, 0.5])];
    assert_published("spread", about, cases);
}
