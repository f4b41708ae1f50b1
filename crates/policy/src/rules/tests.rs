//! Tests of rules: what they match, which mistakes are told and where, that no text makes them panic.

use std::net::IpAddr;

use proptest::prelude::*;
use shoalway_types::Host;

use super::*;

const EXITS: [&str; 2] = ["vps", "home"];

fn lists() -> BTreeMap<String, Arc<DomainSet>> {
    [("ads", "||ads.example^\n"), ("social", "friends.example\n")]
        .map(|(name, text)| (name.to_owned(), Arc::new(DomainSet::from_list(text).0)))
        .into()
}

fn try_read(lines: &[&str], overlay: bool) -> Result<RuleSet, Vec<RuleError>> {
    RuleSet::parse(lines, &Names { exits: &EXITS, lists: &lists(), overlay })
}

fn read(lines: &[&str]) -> RuleSet {
    try_read(lines, true).unwrap_or_else(|errors| panic!("{lines:?}: {errors:#?}"))
}

/// `METHOD HOST:PORT from IP by USER at IP`, all but the target optional.
fn with_query<T>(text: &str, ask: impl Fn(&Query<'_>) -> T) -> T {
    let mut query = ("GET", "", "192.0.2.1", None, None::<IpAddr>);
    let words: Vec<&str> = text.split(' ').collect();
    let (method, rest) = if words[0].contains(['.', ':']) || words.len() == 1 {
        ("", &words[..])
    } else {
        (words[0], &words[1..])
    };
    query.0 = method;
    query.1 = rest[0];
    for pair in rest[1..].chunks(2) {
        match pair[0] {
            "from" => query.2 = pair[1],
            "by" => query.3 = Some(pair[1]),
            "at" => query.4 = Some(pair[1].parse().unwrap()),
            word => panic!("{word}"),
        }
    }
    let (host, port) = query.1.rsplit_once(':').unwrap();
    let host = Host::parse(host).unwrap();
    let (port, client) = (port.parse().unwrap(), query.2.parse().unwrap());
    ask(&Query { host: &host, port, method: query.0, client, user: query.3, resolved: query.4 })
}

fn taken(rule: &str, query: &str) -> bool {
    let rules = read(&[rule]);
    with_query(query, |q| rules.decide(q).rule == 1)
}

#[test]
fn each_match_takes_what_it_says() {
    for (matches, query, expected) in [
        ("all", "a.example:80", true),
        ("domain:a.example", "a.example:80", true),
        ("domain:A.Example.", "a.example:80", true),
        ("domain:a.example", "b.a.example:80", false),
        ("domain:*.a.example", "b.a.example:80", true),
        ("domain:*.a.example", "a.example:80", false),
        ("domain:.a.example", "a.example:80", true),
        ("domain:**.a.example", "c.b.a.example:80", true),
        ("domain:x.example,a.example", "a.example:80", true),
        ("domain:a.example", "192.0.2.9:80", false),
        ("!domain:a.example", "a.example:80", false),
        ("!domain:a.example", "192.0.2.9:80", true),
        ("!domain:a.example,b.example", "b.example:80", false),
        ("list:ads", "x.ads.example:80", true),
        ("list:ads,social", "friends.example:80", true),
        ("list:social", "x.friends.example:80", false),
        ("list:ads", "192.0.2.9:80", false),
        ("port:80,443,8000-8999", "a.example:443", true),
        ("port:80,443,8000-8999", "a.example:8000", true),
        ("port:80,443,8000-8999", "a.example:8999", true),
        ("port:80,443,8000-8999", "a.example:9000", false),
        ("!port:80", "a.example:80", false),
        ("method:GET,CONNECT", "GET a.example:80", true),
        ("method:get", "GET a.example:80", true),
        ("method:GET", "get a.example:80", true),
        ("method:GET", "POST a.example:80", false),
        ("method:GET", "a.example:80", false),
        ("!method:GET", "a.example:80", true),
        ("client:192.0.2.0/24", "a.example:80 from 192.0.2.77", true),
        ("client:192.0.2.0/24", "a.example:80 from ::ffff:192.0.2.77", true),
        ("client:192.0.2.0/24", "a.example:80 from 198.51.100.1", false),
        ("client:2001:db8::/32,10.0.0.1", "a.example:80 from 2001:db8::5", true),
        ("user:ann,bob", "a.example:80 by bob", true),
        ("user:ann", "a.example:80 by Ann", false),
        ("user:ann", "a.example:80", false),
        ("user:o'brien", "a.example:80 by o'brien", true),
        ("!user:ann", "a.example:80", true),
        ("domain:a.example port:80", "a.example:80", true),
        ("domain:a.example port:80", "a.example:81", false),
        ("domain:a.example !port:80", "a.example:81", true),
    ] {
        assert_eq!(taken(&format!("block {matches}"), query), expected, "{matches} <- {query}");
    }
}

#[test]
fn address_matches_see_the_host_and_what_it_resolved_to() {
    for (matches, query, expected) in [
        ("10.0.0.0/8", "10.1.2.3:80", true),
        ("10.0.0.0/8", "[::ffff:10.1.2.3]:80", true),
        ("ip:10.0.0.0/8", "11.1.2.3:80", false),
        ("2001:db8::/32", "[2001:db8::1]:80", true),
        ("2001:db8::1", "[2001:db8::1]:80", true),
        ("192.0.2.1,10.0.0.0/8", "10.1.2.3:80", true),
        ("10.0.0.0/8", "a.example:80", false),
        ("10.0.0.0/8", "a.example:80 at 10.1.2.3", true),
        ("10.0.0.0/8", "a.example:80 at ::ffff:10.1.2.3", true),
        ("10.0.0.0/8", "a.example:80 at 192.0.2.1", false),
        ("10.0.0.0/8", "192.0.2.1:80 at 10.1.2.3", false),
        ("!10.0.0.0/8", "a.example:80", true),
        ("!10.0.0.0/8", "a.example:80 at 10.1.2.3", false),
    ] {
        assert_eq!(taken(&format!("block {matches}"), query), expected, "{matches} <- {query}");
    }
}

#[test]
fn private_means_addresses_and_names_that_stay_at_home() {
    for (host, expected) in [
        ("10.0.0.1", true),
        ("172.16.0.1", true),
        ("172.32.0.1", false),
        ("192.168.255.255", true),
        ("127.9.9.9", true),
        ("169.254.169.254", true),
        ("100.64.0.0", true),
        ("100.127.255.255", true),
        ("100.128.0.0", false),
        ("100.63.255.255", false),
        ("0.0.0.0", true),
        ("8.8.8.8", false),
        ("[::1]", true),
        ("[::]", true),
        ("[fe80::1]", true),
        ("[fd00::1]", true),
        ("[fc00::1]", true),
        ("[2001:db8::1]", false),
        ("[64:ff9b::10.0.0.1]", true),
        ("[64:ff9b::192.0.2.1]", false),
        ("[64:ff9b:1::1]", true),
        ("[::ffff:10.0.0.1]", true),
        ("localhost", true),
        ("a.localhost", true),
        ("nas.internal", true),
        ("printer.local", true),
        ("tv.home.arpa", true),
        ("home.arpa", true),
        ("athome.arpa", false),
        ("1.168.192.in-addr.arpa", false),
        ("nas", true),
        ("a.example", false),
        ("localhost.example", false),
        ("xlocal.example", false),
    ] {
        assert_eq!(taken("direct private", &format!("{host}:80")), expected, "{host}");
        assert_eq!(taken("direct !private", &format!("{host}:80")), !expected, "{host}");
    }
    assert!(taken("block private", "a.example:80 at 192.168.1.1"));
    assert!(!taken("block private", "a.example:80 at 192.0.2.1"));
}

#[test]
fn the_first_match_wins_and_the_last_rule_is_implied() {
    let rules = read(&[
        "direct  private",
        "block   list:ads say:'no ads, it''s a rule'",
        "via:home domain:*.a.example",
        "overlay port:443",
        "allow user:ann",
    ]);
    for (query, verb, rule, say) in [
        ("nas:80", Verb::Direct, 1, None),
        ("x.ads.example:443", Verb::Block, 2, Some("no ads, it's a rule")),
        ("b.a.example:443", Verb::Via(ExitId(1)), 3, None),
        ("c.example:443", Verb::Overlay(OverlayId(0)), 4, None),
        ("c.example:80 by ann", Verb::Allow, 5, None),
        ("c.example:80", Verb::Direct, 0, None),
    ] {
        with_query(query, |q| assert_eq!(rules.decide(q), Decision { verb, rule, say }, "{query}"));
    }
    assert_eq!(rules.exit_name(ExitId(1)), "home");
    assert_eq!(rules.exit_name(ExitId(2)), "");
    assert_eq!(rules.line(3), Some("via:home domain:*.a.example"));
    assert_eq!(rules.line(0), Some("direct all"));
    assert_eq!(rules.line(6), None);
    assert_eq!((rules.len(), rules.is_empty()), (5, false));
}

#[test]
fn explaining_lists_all_matches_and_agrees_with_the_decision() {
    let rules = read(&["block list:ads", "direct private", "via:vps port:443"]);
    let explained = |query| {
        with_query(query, |q| {
            let matches = rules.explain(q);
            let decision = rules.decide(q);
            assert_eq!(
                matches.first().map(|first| (first.rule, first.verb)),
                Some((decision.rule, decision.verb))
            );
            matches
                .into_iter()
                .map(|m| format!("{} {}{}", m.rule, m.line, if m.is_implied() { " (implied)" } else { "" }))
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(
        explained("ads.example:443"),
        ["1 block list:ads", "3 via:vps port:443", "0 direct all (implied)"]
    );
    assert_eq!(explained("a.example:80"), ["0 direct all (implied)"]);
    let closed = read(&["block list:ads", "allow all"]);
    assert_eq!(with_query("a.example:80", |q| closed.explain(q)).len(), 1);
}

#[test]
fn many_names_in_a_rule_match_like_few() {
    let names: Vec<String> = (0..100).map(|n| format!("*.n{n}.example")).collect();
    let rule = format!("block domain:{},last.example", names.join(","));
    for (query, expected) in [
        ("a.n99.example:1", true),
        ("n99.example:1", false),
        ("last.example:1", true),
        ("a.last.example:1", false),
    ] {
        assert_eq!(taken(&rule, query), expected, "{query}");
    }
}

#[test]
fn only_rules_by_address_ask_for_a_second_look() {
    for (lines, expected) in [
        (&[][..], false),
        (&["block list:ads port:80 client:10.0.0.0/8"], false),
        (&["block list:ads", "block !10.0.0.0/8"], true),
        (&["block ip:10.0.0.1"], true),
        (&["direct private"], true),
        (&["block all"], false),
    ] {
        assert_eq!(read(lines).by_address(), expected, "{lines:?}");
    }
}

/// Each mistake: rule, kind, what the span covers, a part of the help.
#[test]
fn each_mistake_is_told_with_its_place_and_a_way_out() {
    use RuleErrorKind as K;
    for (line, kind, marked, help) in [
        ("", K::Empty, "", "verb"),
        ("  ", K::Empty, "  ", "verb"),
        ("blok all", K::UnknownVerb, "blok", "did you mean `block`?"),
        ("Block all", K::UnknownVerb, "Block", "did you mean `block`?"),
        ("drop all", K::UnknownVerb, "drop", "begins with one of"),
        ("domain:a.example", K::UnknownVerb, "domain:a.example", "begins with one of"),
        ("vai:vps all", K::UnknownVerb, "vai:vps", "did you mean `via`?"),
        ("via all", K::MissingValue, "via", "via:NAME"),
        ("via: all", K::MissingValue, "via:", "via:NAME"),
        ("via:vpn all", K::UnknownExit, "vpn", "did you mean `vps`?"),
        ("via:elsewhere all", K::UnknownExit, "elsewhere", "there are these exits: vps, home"),
        ("overlay all", K::OverlayNotConfigured, "overlay", "[overlay]"),
        ("overlay:country=CH all", K::OverlayNotConfigured, "overlay:country=CH", "[overlay]"),
        ("block", K::NoMatch, "block", "`block all`"),
        ("block say:'x'", K::NoMatch, "block", "`block all`"),
        ("block dommain:a.example", K::UnknownMatch, "dommain", "did you mean `domain`?"),
        ("block !prot:80", K::UnknownMatch, "prot", "did you mean `port`?"),
        ("block group:interns", K::UnknownMatch, "group", "matches are"),
        ("block time:mon-fri/09:00-17:00", K::UnknownMatch, "time", "matches are"),
        ("block country:CH", K::UnknownMatch, "country", "matches are"),
        ("block a.example", K::UnknownMatch, "a.example", "`domain:a.example`"),
        ("block *", K::UnknownMatch, "*", "domain:"),
        ("block privat", K::UnknownMatch, "privat", "did you mean `private`?"),
        ("block direct", K::UnknownMatch, "direct", "one only"),
        ("block port", K::MissingValue, "port", "`port:`"),
        ("block private,10.0.0.0/8", K::BadValue, "private,10.0.0.0/8", "a rule for each"),
        ("block all:x", K::BadValue, "all", "`all` alone"),
        ("block ! private", K::MissingValue, "!", "without a space"),
        ("block !all", K::NeverMatches, "!all", "drop the rule"),
        ("block domain:", K::MissingValue, ":", "write one"),
        ("block domain:a.example,,b.example", K::MissingValue, ",", "write one"),
        ("block domain:a.example,", K::MissingValue, ",", "write one"),
        ("block domain:a.*.example", K::BadValue, "a.*.example", "*.a.example"),
        ("block domain:*", K::BadValue, "*", "write `all`"),
        ("block domain:192.0.2.1", K::BadValue, "192.0.2.1", "`ip:192.0.2.1`"),
        ("block domain:a.example:80", K::BadValue, "a.example:80", "port:"),
        ("block domain:b\u{fc}cher.example", K::BadValue, "b\u{fc}cher.example", "xn--"),
        ("block domain:ok.example,-a.example", K::BadValue, "-a.example", "names look like"),
        ("block 10.0.0.0/33", K::BadValue, "10.0.0.0/33", "after the slash"),
        ("block 10.0.0.1/8", K::BadValue, "10.0.0.1/8", "did you mean `10.0.0.0/8`?"),
        ("block 10.0.0/8", K::BadValue, "10.0.0/8", "192.0.2.0/24"),
        ("block 10.0.0", K::BadValue, "10.0.0", "192.0.2.0/24"),
        ("block fe80::/129", K::BadValue, "fe80::/129", "after the slash"),
        ("block [::1]", K::BadValue, "[::1]", "2001:db8::/32"),
        ("block 10.0.0.0/8,x", K::BadValue, "x", "192.0.2.0/24"),
        ("block ip:a.example", K::BadValue, "a.example", "192.0.2.0/24"),
        ("block client:any", K::BadValue, "any", "192.0.2.0/24"),
        ("block port:0", K::BadValue, "0", "1 to 65535"),
        ("block port:65536", K::BadValue, "65536", "1 to 65535"),
        ("block port:+80", K::BadValue, "+80", "1 to 65535"),
        ("block port:http", K::BadValue, "http", "1 to 65535"),
        ("block port:80-", K::BadValue, "80-", "1 to 65535"),
        ("block port:90-80", K::BadValue, "90-80", "did you mean `80-90`?"),
        ("block method:GE(T", K::BadValue, "GE(T", "methods look like"),
        ("block list:add", K::UnknownList, "add", "did you mean `ads`?"),
        ("block list:ads,malware", K::UnknownList, "malware", "there are these lists: ads, social"),
        ("block user:'ann lee'", K::BadValue, "'ann lee'", "without quotes"),
        ("block all say:'free", K::UnclosedQuote, "'free", "single quote"),
        ("block all say:free", K::BadValue, "free", "single quotes"),
        ("block all say:", K::BadValue, "say:", "single quotes"),
        ("block all say:''", K::MissingValue, "''", "drop"),
        ("block all say:'a'b'", K::BadValue, "'a'b'", "single quotes"),
        ("block all say:'a\tb'", K::BadValue, "'a\tb'", "one line"),
        ("block all say:'a' say:'b'", K::MisplacedOption, "say:'b'", "keep one"),
        ("block all !say:'a'", K::MisplacedOption, "say", "drop the `!`"),
        ("direct all say:'a'", K::MisplacedOption, "say:'a'", "`block` only"),
        ("via:vps all say:'a'", K::MisplacedOption, "say:'a'", "`block` only"),
    ] {
        let errors = try_read(&["allow port:1", line], false).expect_err(line);
        let [error] = &errors[..] else { panic!("{line}: {errors:#?}") };
        assert_eq!((error.rule, error.kind), (1, kind), "{line}: {error}");
        assert_eq!(&line[error.span.clone()], marked, "{line}: {error}");
        assert!(error.help.as_ref().is_some_and(|text| text.contains(help)), "{line}: {error:?}");
    }
}

#[test]
fn all_mistakes_of_all_rules_are_told_at_once_in_order() {
    let errors =
        try_read(&["blok dommain:a port:0,70000", "allow port:1", "direct", "overlay list:x"], false)
            .unwrap_err();
    let told: Vec<_> = errors.iter().map(|error| (error.rule, error.span.clone(), error.kind)).collect();
    assert_eq!(
        told,
        [
            (0, 0..4, RuleErrorKind::UnknownVerb),
            (0, 5..12, RuleErrorKind::UnknownMatch),
            (0, 20..21, RuleErrorKind::BadValue),
            (0, 22..27, RuleErrorKind::BadValue),
            (2, 0..6, RuleErrorKind::NoMatch),
            (3, 0..7, RuleErrorKind::OverlayNotConfigured),
            (3, 13..14, RuleErrorKind::UnknownList),
        ]
    );
    assert_eq!(errors[0].to_string(), "rule 1: `blok` is no verb");
}

#[test]
fn rules_behind_one_that_takes_everything_are_mistakes() {
    let errors =
        try_read(&["allow port:1", "direct all all", " block list:ads ", "via:vps all"], false).unwrap_err();
    for (error, (rule, span)) in errors.iter().zip([(2, 1..15), (3, 0..11)]) {
        assert_eq!((error.rule, error.span.clone(), error.kind), (rule, span, RuleErrorKind::Unreachable));
        assert_eq!(error.message, "this rule can never match: rule 2 takes everything");
        assert_eq!(error.help.as_deref(), Some("move it above rule 2"));
    }
    assert_eq!(errors.len(), 2);
    for fine in [&["block !private", "allow all"][..], &["block all port:1", "allow all"], &["allow all"]] {
        assert!(try_read(fine, false).is_ok(), "{fine:?}");
    }
}

#[test]
fn debug_output_of_a_query_tells_nothing() {
    assert_eq!(with_query("bank.example:443 by ann", |q| format!("{q:?}")), "Query([hidden])");
}

fn any_rule() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "block",
        "direct",
        "via:vps",
        "via:",
        "all",
        "!",
        "private",
        "domain:",
        "*.a.example",
        ",",
        "10.0.0.0/8",
        "::",
        "ip:",
        "port:",
        "80-90",
        "-",
        "method:GET",
        "client:",
        "user:ann",
        "list:ads",
        "say:'a b'",
        "say:'",
        "''",
        "'",
        "\u{fc}",
        " ",
        " ",
        " ",
        "\t",
        "\u{2003}",
        ":",
        "/",
        "[",
    ]);
    prop_oneof![prop::collection::vec(word, 0..14).prop_map(|words| words.concat()), any::<String>()]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_with_places_in_it(lines in prop::collection::vec(any_rule(), 0..4)) {
        let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
        match try_read(&texts, true) {
            Ok(rules) => {
                prop_assert_eq!(rules.len(), lines.len());
                with_query("GET a.example:80 at 10.0.0.1", |q| {
                    assert_eq!(rules.explain(q)[0].rule, rules.decide(q).rule);
                });
            }
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    prop_assert!(lines[error.rule].get(error.span.clone()).is_some(), "{:?}", error);
                    prop_assert!(error.help.is_some_and(|help| !help.is_empty()));
                }
            }
        }
    }
}

#[test]
fn rules_ask_the_overlay_for_exits_and_those_that_ask_alike_share_a_wish() {
    let address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
    let lines = [
        "overlay:country=CH,IS port:1".to_owned(),
        format!("overlay:exit={address} port:2"),
        "overlay:country=CH,IS port:3".to_owned(),
        "overlay all".to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let rules = try_read(&lines, true).unwrap();
    let verbs: Vec<Verb> = rules.rules.iter().map(|rule| rule.verb).collect();
    assert_eq!(verbs, [1, 2, 1, 0].map(|id| Verb::Overlay(OverlayId(id))));
    let wishes = rules.overlay_wishes();
    assert_eq!(wishes.len(), 3);
    assert_eq!(wishes[0], OverlayWish::default());
    assert_eq!(rules.overlay_wish(OverlayId(1)).unwrap().countries, [*b"CH", *b"IS"]);
    assert_eq!(rules.overlay_wish(OverlayId(2)).unwrap().exits, [address.parse().unwrap()]);
    assert_eq!(rules.overlay_wish(OverlayId(0)), None);
}

#[test]
fn what_cannot_be_asked_of_the_overlay_is_named_with_its_place() {
    for (line, place, says) in [
        ("overlay:node=1 all", "node=1", "nothing to ask"),
        ("overlay: all", "overlay:", "nothing to ask"),
        ("overlay:country=CH,Iceland all", "Iceland", "no country"),
        ("overlay:country=ch all", "ch", "no country"),
        ("overlay:exit=0x12 all", "0x12", "40 digits"),
        (
            "overlay:exit=0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed all",
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1Beaed",
            "digit 38 should be `A`",
        ),
    ] {
        let errors = try_read(&[line], true).unwrap_err();
        let [error] = &errors[..] else { panic!("{line}: {errors:?}") };
        assert_eq!(&line[error.span.clone()], place, "{line}");
        assert!(error.message.contains(says), "{line}: {}", error.message);
    }
}
