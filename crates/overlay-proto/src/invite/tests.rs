//! Invitations: what a person may mistype, and what they are told.

use super::*;
use crate::descriptor::BindingKind;
use crate::descriptor::tests::{START, endpoint};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

fn entry(byte: u8) -> InvitedEntry {
    InvitedEntry {
        node: Address([byte; 20]),
        link_key: [byte; 32],
        gate: Gate(Secret::from([byte + 1; 32])),
        endpoint: endpoint([203, 0, 113, byte]),
    }
}

fn invite(entries: u8) -> Invite {
    Invite { network: [0x4e; 32], expires: START, entries: (1..=entries).map(entry).collect() }
}

#[test]
fn a_link_is_read_back() {
    for count in 1..=8 {
        let link = invite(count).link().unwrap();
        assert!(link.starts_with("shoalway://join#1."));
        assert_eq!(Invite::parse(&link), Ok(invite(count)));
        assert_eq!(Invite::parse(&format!(" {link}\n")), Ok(invite(count)), "as it is pasted");
    }
}

#[test]
fn each_mistake_is_told_in_its_own_words() {
    let link = invite(1).link().unwrap();
    let last = link.chars().count();
    let broken = format!("{}\n{}", &link[..60], &link[60..]);
    for (text, wanted, says) in [
        ("".to_owned(), InviteError::Scheme, "begins with `shoalway://join#`"),
        (link.replacen("join", "jion", 1), InviteError::Scheme, "begins with"),
        (link.replacen("#1.", "#2.", 1), InviteError::Version { found: 2 }, "version 2"),
        (link.replacen("#1.", "#1", 1), InviteError::Cut, "all of it copied"),
        ("shoalway://join#1".to_owned(), InviteError::Cut, "all of it copied"),
        (link.rsplit_once('.').unwrap().0.to_owned(), InviteError::Cut, "all of it copied"),
        (broken, InviteError::Character { at: 61, character: '\n' }, "character 61"),
        (format!("{link}="), InviteError::Character { at: last + 1, character: '=' }, "`=`"),
        (link[..last - 1].to_owned(), InviteError::Check, "typing error"),
        (format!("{link}A"), InviteError::Check, "typing error"),
        (format!("{link}.A"), InviteError::Check, "typing error"),
        (format!("{link}{}", "A".repeat(2000)), InviteError::TooLong { found: last + 2000 }, "2000"),
    ] {
        let error = Invite::parse(&text).unwrap_err();
        assert_eq!(error, wanted, "{text}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn every_single_typing_error_is_found() {
    let link = invite(1).link().unwrap();
    for at in 18..link.len() {
        for to in ["A", "b", "7", "_", ".", ""] {
            let changed = format!("{}{to}{}", &link[..at], &link[at + 1..]);
            if changed != link {
                assert!(Invite::parse(&changed).is_err(), "{to} at {at}");
            }
        }
    }
}

#[test]
fn a_payload_that_is_none_is_refused_although_its_check_fits() {
    let link = |payload: &[u8]| {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        Invite::parse(&format!("{SCHEME}1.{}.{}", text(payload), text(&check_of(payload)))).map(|_| ())
    };
    let right = invite(2).encode();
    assert_eq!(link(&right), Ok(()));
    for end in 0..right.len() {
        assert!(matches!(link(&right[..end]), Err(InviteError::Malformed(_))), "cut at {end}");
    }
    let malformed = |field| Err(InviteError::Malformed(Malformed(field)));
    assert_eq!(link(&[&right[..], &[0]].concat()), malformed("trailing bytes"));
    for bit in 0..8 {
        let mut bent = right.clone();
        bent[0] |= 1 << bit;
        assert_eq!(link(&bent), malformed("invite flags"), "flag {bit}");
    }
    for (count, wanted) in [(0, "invite count"), (1, "trailing bytes"), (9, "invite count")] {
        let mut bent = right.clone();
        bent[41] = count;
        assert_eq!(link(&bent), malformed(wanted));
    }
}

#[test]
fn what_cannot_be_read_back_is_not_made() {
    let malformed = |field| Err(InviteError::Malformed(Malformed(field)));
    assert_eq!(invite(0).link(), malformed("invite count"));
    assert_eq!(invite(9).link(), malformed("invite count"));
    let twice = Invite { entries: vec![entry(1), entry(1)], ..invite(1) };
    assert_eq!(twice.link(), malformed("invite entry"));
    let mut odd = invite(1);
    odd.entries[0].endpoint.cookie = "a b".to_owned();
    assert_eq!(odd.link(), malformed("endpoint cookie"));
    let mut long = invite(8);
    for entry in &mut long.entries {
        entry.endpoint.sni = ["a".repeat(63), "b".repeat(63)].join(".");
    }
    assert!(matches!(long.link(), Err(InviteError::TooLong { found: 2001.. })));
}

#[test]
fn an_invitation_is_good_until_its_last_second_and_for_places_others_reach() {
    let mut invite = invite(2);
    assert_eq!(invite.check(false, START), Ok(()));
    for (after, says) in [
        (1, "1 second ago"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7200, "2 hours"),
        (200_000, "2 days"),
    ] {
        let error = invite.check(false, START.plus(after)).unwrap_err();
        assert_eq!(error, InviteError::Expired { seconds: after });
        assert!(error.to_string().contains(says), "{error}");
    }
    invite.entries[1].endpoint = endpoint([127, 0, 0, 1]);
    let error = InviteError::Endpoint { entry: 2, error: EndpointError::Place };
    assert_eq!(invite.check(false, START), Err(error));
    assert_eq!(invite.check(true, START), Ok(()));
}

#[test]
fn a_debug_print_tells_nothing_but_how_many() {
    let printed = format!("{:?} {:?} {:?}", invite(1), entry(1), entry(1).gate);
    assert_eq!(printed, "Invite { entries: 1, .. } InvitedEntry([hidden]) Gate([hidden])");
}

proptest! {
    #[test]
    fn whatever_is_made_is_read_back(
        network in any::<[u8; 32]>(),
        expires in any::<u64>(),
        nodes in proptest::collection::btree_set(1..=255u8, 1..=8),
        front in any::<bool>(),
    ) {
        let mut entries: Vec<InvitedEntry> = nodes.into_iter().map(|byte| entry(byte.min(254))).collect();
        entries.dedup();
        if front {
            entries[0].endpoint.binding = BindingKind::Front;
        }
        let invite = Invite { network, expires: UnixTime(expires), entries };
        prop_assert_eq!(Invite::parse(&invite.link().unwrap()), Ok(invite));
    }

    #[test]
    fn any_text_is_refused_without_a_panic(text in "\\PC{0,60}", payload in "[-_A-Za-z0-9.]{0,300}") {
        prop_assert!(Invite::parse(&text).is_err());
        let named = format!("{SCHEME}1.{payload}");
        prop_assert!(Invite::parse(&named).is_err());
        let broken = format!("{SCHEME}{text}");
        prop_assert!(Invite::parse(&broken).is_err());
    }
}
