//! Tests of log-ins: known hashes, what is refused and why, equal work for unknown users.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Made with other programs: python's `bcrypt` and `argon2-cffi` (the reference C code), and openssl.
const HASHES: [(&str, &str); 8] = [
    ("secret", "$2b$04$dCKBZQJewl9Ik2I.0VnxmOYOiHB9vuaP.e9LZgxJfRvpRkjspwy4a"),
    ("secret", "$2a$04$o/EW4obmNYHrszWNkSX5uOWAwiOZt7ff9pjSEqbfE2XszvaZZjUzW"),
    ("p\u{e4}ssw\u{f6}rd", "$2y$05$7TA1UVb96/u8p95e13n2d.t3lDrtPDzuwZpcOmh2iwRVhroS3LMne"),
    (LONGEST, "$2b$04$KGnb2RCsFojMMhaookxYLOeKI.9/OPzUNqy/WsuPJN8NWA/3LCaVO"),
    ("secret", ARGON2ID),
    ("secret", "$argon2i$v=19$m=64,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$RtEDKCwQfkVidV/LrfAP4AHbn+U5coBp"),
    (
        "secret",
        "$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$UF8owXH3Ic+/i9I/JaXRPrpI667SCo4A1AO7Q698oXg",
    ),
    ("password", "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1"),
];
const LONGEST: &str = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
const ARGON2ID: &str =
    "$argon2id$v=19$m=64,t=2,p=2$c29tZXNhbHRzb21lc2FsdA$vGWrn6I/PGlluEBRcxBfMjJk/9ti0CC0ig+MNGAsI8Q";

fn everyone() -> Users {
    let lines: Vec<String> =
        HASHES.iter().enumerate().map(|(n, (_, hash))| format!("user{n}:{hash}")).collect();
    Users::parse(&format!("# users\n\n{}\r\n", lines.join("\r\n"))).unwrap()
}

#[test]
fn each_user_gets_in_with_their_password_only() {
    let users = everyone();
    assert_eq!(users.len(), HASHES.len());
    for (n, (password, _)) in HASHES.iter().enumerate() {
        let user = format!("user{n}");
        assert!(users.contains(&user));
        assert!(users.check(&user, password.as_bytes()), "{user}");
        for wrong in [
            "",
            "Secret",
            &format!("{password} "),
            &format!("{password}\0"),
            &format!("{password}\0{password}"),
        ] {
            assert!(!users.check(&user, wrong.as_bytes()), "{user} {wrong:?}");
        }
    }
}

#[test]
fn names_are_compared_octet_by_octet() {
    let users = everyone();
    for name in ["", "User0", "user0 ", "user", "nobody"] {
        assert!(!users.contains(name));
        assert!(!users.check(name, b"secret"), "{name}");
    }
}

#[test]
fn what_bcrypt_would_cut_off_is_refused() {
    let users = everyone();
    assert!(users.check("user3", LONGEST.as_bytes()));
    assert!(!users.check("user3", format!("{LONGEST}x").as_bytes()));
}

#[test]
fn overlong_passwords_are_refused_by_every_hash() {
    // Made with python's `argon2-cffi` of 1024 and of 1025 times `x`.
    let users = Users::parse(
        "ann:$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$2FHcBmCz9oI8uyUsHr5VHw\n\
         bob:$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$/3gugNhBInYHNS06GvWxsA",
    )
    .unwrap();
    assert!(users.check("ann", &[b'x'; 1024]));
    assert!(!users.check("ann", &[b'x'; 1025]));
    assert!(!users.check("bob", &[b'x'; 1025]));
}

#[test]
fn nobody_gets_into_an_empty_file() {
    for text in ["", "# nobody\n\n"] {
        let users = Users::parse(text).unwrap();
        assert!(users.is_empty() && !users.check("ann", b"") && !users.check("", b""));
    }
}

#[test]
fn refused_lines_say_why() {
    let argon2 =
        |costs: &str| format!("a:$argon2id$v=19${costs}$c29tZXNhbHRzb21lc2FsdA$vGWrn6I/PGlluEBRcxBfMg");
    for (line, reason) in [
        ("ann", UsersErrorReason::NoColon),
        (":$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1", UsersErrorReason::Name),
        (" ann:$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1", UsersErrorReason::Name),
        ("a\u{7}:$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1", UsersErrorReason::Name),
        ("ann:secret", UsersErrorReason::Hash(HashError::Plain)),
        ("ann:", UsersErrorReason::Hash(HashError::Plain)),
        ("ann:{PLAIN}secret", UsersErrorReason::Hash(HashError::Plain)),
        ("ann:rqXexS6ZhobKA", UsersErrorReason::Hash(HashError::Crypt)),
        ("ann:$1$abc$lkfdsa", UsersErrorReason::Hash(HashError::Crypt)),
        ("ann:$6$abc$lkfdsa", UsersErrorReason::Hash(HashError::Crypt)),
        ("ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", UsersErrorReason::Hash(HashError::Sha)),
        ("ann:{SSHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", UsersErrorReason::Hash(HashError::Sha)),
        (
            "ann:$2x$05$7TA1UVb96/u8p95e13n2d.t3lDrtPDzuwZpcOmh2iwRVhroS3LMne",
            UsersErrorReason::Hash(HashError::Variant),
        ),
        (
            "ann:$argon2d$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            UsersErrorReason::Hash(HashError::Variant),
        ),
        (
            "ann:$argon2id$v=20$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
            UsersErrorReason::Hash(HashError::Variant),
        ),
        ("ann:$2y$05$7TA1UVb96", UsersErrorReason::Hash(HashError::Malformed)),
        (
            "ann:$2y$+5$7TA1UVb96/u8p95e13n2d.t3lDrtPDzuwZpcOmh2iwRVhroS3LMne",
            UsersErrorReason::Hash(HashError::Malformed),
        ),
        (
            "ann:$2y$03$7TA1UVb96/u8p95e13n2d.t3lDrtPDzuwZpcOmh2iwRVhroS3LMne",
            UsersErrorReason::Hash(HashError::Malformed),
        ),
        (
            "ann:$2y$17$7TA1UVb96/u8p95e13n2d.t3lDrtPDzuwZpcOmh2iwRVhroS3LMne",
            UsersErrorReason::Hash(HashError::Cost),
        ),
        ("ann:$apr1$abc", UsersErrorReason::Hash(HashError::Malformed)),
        ("ann:$argon2id$v=19", UsersErrorReason::Hash(HashError::Malformed)),
        ("ann:$argon2id$m=64,t=1,p=1$c2FsdHNhbHQ", UsersErrorReason::Hash(HashError::Malformed)),
        (&argon2("m=1048577,t=1,p=1"), UsersErrorReason::Hash(HashError::Cost)),
        (&argon2("m=1048576,t=5,p=1"), UsersErrorReason::Hash(HashError::Cost)),
        (&argon2("m=64,t=4294967295,p=1"), UsersErrorReason::Hash(HashError::Cost)),
        (&argon2("m=1024,t=1,p=65"), UsersErrorReason::Hash(HashError::Cost)),
        (&argon2("m=1,t=1,p=1"), UsersErrorReason::Hash(HashError::Malformed)),
        (&argon2("m=64,t=0,p=1"), UsersErrorReason::Hash(HashError::Malformed)),
        (&argon2("m=64,t=1"), UsersErrorReason::Hash(HashError::Malformed)),
        (&argon2("m=64,p=1,t=1"), UsersErrorReason::Hash(HashError::Malformed)),
        (&argon2("m=64,t=1,p=1,data=AA"), UsersErrorReason::Hash(HashError::Malformed)),
    ] {
        let errors = Users::parse(&format!("#\n{line}\n")).unwrap_err();
        assert_eq!(errors, [UsersError { line: 2, reason }], "{line}");
    }
}

#[test]
fn the_dearest_hashes_allowed_are_read() {
    for hash in [
        "$2y$16$7TA1UVb96/u8p95e13n2d.t3lDrtPDzuwZpcOmh2iwRVhroS3LMne",
        "$argon2id$v=19$m=1048576,t=4,p=64$c29tZXNhbHRzb21lc2FsdA$vGWrn6I/PGlluEBRcxBfMg",
    ] {
        assert_eq!(Users::parse(&format!("ann:{hash}")).map(|users| users.len()), Ok(1), "{hash}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_and_tell_no_secret() {
    let good = "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1";
    let errors = Users::parse(&format!("ann:hunter2\nbob:{good}\nnothing\nbob:{good}\n")).unwrap_err();
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "line 1: the password is in plain text, or in a form that is not known",
            "line 3: there is no colon between a name and a hash",
            "line 4: the name stands in line 2 already",
        ]
    );
    assert!(errors.first().unwrap().help().contains("htpasswd -nB NAME"));
    assert_eq!(errors.last().unwrap().help(), "keep one line for each name");
    assert_eq!(format!("{:?}", everyone()), "Users { len: 8, .. }");
}

#[test]
fn unknown_users_and_hopeless_passwords_cost_a_whole_hash() {
    // Cost 9 takes 20 ms and more, a check left out some microseconds; a busy machine only adds to either.
    let users = Users::parse("ann:$2y$09$7TA1UVb96/u8p95e13n2d.t3lDrtPDzuwZpcOmh2iwRVhroS3LMne").unwrap();
    for (user, password) in [
        ("ann", &b"wrong"[..]),
        ("nobody", b"wrong"),
        ("nobody", &[b'x'; 100]),
        ("ann", &[b'x'; 100]),
        ("ann", b"\0"),
    ] {
        let start = Instant::now();
        assert!(!users.check(user, password));
        assert!(start.elapsed() > Duration::from_millis(2), "{user}");
    }
}

#[test]
fn unknown_names_are_spread_over_the_hashes_and_each_stays_with_one() {
    let users = everyone();
    let places: Vec<usize> = (0..1000).map(|n| users.stand_in(&format!("nobody{n}"))).collect();
    for place in 0..HASHES.len() {
        assert!(places.iter().filter(|at| **at == place).count() > 60, "{place}");
    }
    assert_eq!(users.stand_in("nobody7"), users.stand_in("nobody7"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "([a-z]{0,3}:?[$]?(2y|apr1|argon2id)?[$]?[0-9=,a-z$]{0,70}\n?){0,4}|.*") {
        if let Err(errors) = Users::parse(&text) {
            prop_assert!(!errors.is_empty());
        }
    }

    #[test]
    fn a_damaged_hash_lets_nobody_in_and_never_panics(
        which in 0..HASHES.len(), at in 4..60_usize, by in "[./A-Za-z0-9$,=]",
    ) {
        let (password, hash) = HASHES[which];
        let mut damaged = hash.to_owned();
        let at = at % hash.len();
        damaged.replace_range(at..=at, &by);
        let cost_untouched = at > 32 || which == 7 || (which < 4 && at > 6);
        if damaged != hash && cost_untouched && let Ok(users) = Users::parse(&format!("ann:{damaged}")) {
            prop_assert!(!users.check("ann", password.as_bytes()));
        }
    }
}
