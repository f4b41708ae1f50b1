//! Tests of sets of domain names: what is covered, how lists are read, how much memory a million names take.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn set(patterns: &[&str]) -> DomainSet {
    patterns.iter().map(|text| DomainPattern::parse(text).unwrap()).collect()
}

#[test]
fn entries_cover_what_their_form_says() {
    let set =
        set(&["exact.example", "*.below.example", ".tree.example", "**.both.example", "net", "A.Example."]);
    for (host, covered) in [
        ("exact.example", true),
        ("a.exact.example", false),
        ("xexact.example", false),
        ("below.example", false),
        ("a.below.example", true),
        ("b.a.below.example", true),
        ("xbelow.example", false),
        ("tree.example", true),
        ("a.tree.example", true),
        ("both.example", true),
        ("a.b.c.both.example", true),
        ("net", true),
        ("a.net", false),
        ("a.example", true),
        ("example", false),
        ("", false),
    ] {
        assert_eq!(set.contains(host), covered, "{host}");
    }
    assert_eq!(set.len(), 6);
    assert!(!DomainSet::default().contains("a.example"));
}

#[test]
fn the_same_name_twice_covers_both_ways_and_counts_once() {
    let set = set(&["a.example", "*.a.example", "a.example"]);
    assert_eq!(set.len(), 1);
    assert!(set.contains("a.example") && set.contains("b.a.example"));
}

#[test]
fn patterns_without_a_usable_name_are_refused() {
    for (text, why) in [
        ("", PatternError::Name(shoalway_types::HostError::Empty)),
        ("*", PatternError::OnlyStar),
        ("*.*", PatternError::OnlyStar),
        ("a.*.example", PatternError::InnerStar),
        ("a*.example", PatternError::InnerStar),
        ("*.192.0.2.1", PatternError::Address),
        ("192.0.2.1", PatternError::Address),
        ("..example", PatternError::Name(shoalway_types::HostError::Label)),
        ("b\u{fc}cher.example", PatternError::Name(shoalway_types::HostError::Character)),
    ] {
        assert_eq!(DomainPattern::parse(text), Err(why), "{text}");
    }
}

#[test]
fn published_lists_are_read_in_their_usual_forms() {
    let text = "\u{feff}[Adblock Plus 2.0]\r\n\
        ! Title: a list\r\n\
        # a remark\n\
        \n\
        127.0.0.1 localhost localhost.localdomain # this machine\n\
        ::1 ip6-localhost\n\
        fe80::1%lo0 localhost\n\
        0.0.0.0 0.0.0.0\n\
        0.0.0.0 Hosts.example\tsecond.example # two\n\
        plain.example\n\
        *.below.example ! why\n\
        .tree.example\n\
        ||block.example^\n\
        ||*.sub.example^\n";
    let (set, summary) = DomainSet::from_list(text);
    assert_eq!(summary, ListSummary { names: 7, skipped: 0, first_skipped: 0 });
    for (host, covered) in [
        ("hosts.example", true),
        ("a.hosts.example", false),
        ("second.example", true),
        ("plain.example", true),
        ("a.below.example", true),
        ("tree.example", true),
        ("block.example", true),
        ("a.block.example", true),
        ("sub.example", false),
        ("a.sub.example", true),
        ("localhost", false),
        ("ip6-localhost", false),
    ] {
        assert_eq!(set.contains(host), covered, "{host}");
    }
}

#[test]
fn lines_not_understood_are_counted_and_spoil_nothing_else() {
    for line in [
        "@@||good.example^",
        "||opt.example^$third-party",
        "||path.example/ads",
        "example.com##.banner",
        "two words",
        "0.0.0.0 b\u{fc}cher.example",
        "||b.example^ more",
        "||^",
        "*",
        "10.0.0.0/8",
    ] {
        let (set, summary) = DomainSet::from_list(&format!("a.example\n{line}\nz.example\n"));
        assert_eq!(summary, ListSummary { names: 2, skipped: 1, first_skipped: 2 }, "{line}");
        assert!(set.contains("a.example") && set.contains("z.example"), "{line}");
    }
}

/// A name as lists have them: 11 to 30 octets, 2 to 4 labels, 21 on average.
fn generated(n: u32) -> String {
    let scrambled = n.wrapping_mul(2_654_435_761);
    let tld = ["com", "net", "org", "info", "example"][(scrambled % 5) as usize];
    match scrambled >> 30 {
        0 => format!("{n:x}-{scrambled:08x}.{tld}"),
        1 | 2 => format!("ads{}.host-{n:x}.{tld}", scrambled % 100),
        _ => format!("t{}.cdn.x{scrambled:08x}{n:x}.{tld}", scrambled % 10),
    }
}

#[test]
fn a_million_names_take_less_than_64_mb_and_are_all_found() {
    let mut builder = DomainSetBuilder::default();
    for n in 0..1_000_000 {
        assert!(builder.add(&generated(n), Reach::Exact));
    }
    let set = builder.build();
    assert_eq!(set.len(), 1_000_000);
    assert!(set.heap_bytes() < 64_000_000, "{} bytes", set.heap_bytes());
    assert!(set.heap_bytes() > 20 * 1_000_000, "the names themselves must be counted: {}", set.heap_bytes());
    for n in (0..1_000_000).step_by(7) {
        assert!(set.contains(&generated(n)), "{n}");
        assert!(!set.contains(&generated(n + 1_000_000)), "{n}");
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop::collection::vec("[ab]{1,2}", 1..5).prop_map(|labels| labels.join("."))
}

fn any_pattern() -> impl Strategy<Value = String> {
    (prop::sample::select(vec!["", "*.", ".", "**."]), any_name())
        .prop_map(|(front, name)| format!("{front}{name}"))
}

/// The same answers from a plain set of exact names and one of parents.
fn model(patterns: &[String], host: &str) -> bool {
    let mut exact = HashSet::new();
    let mut below = HashSet::new();
    for text in patterns {
        let (name, reach) = pattern::split_reach(text);
        if reach != Reach::Below {
            exact.insert(name);
        }
        if reach != Reach::Exact {
            below.insert(name);
        }
    }
    exact.contains(host) || host.match_indices('.').any(|(dot, _)| below.contains(&host[dot + 1..]))
}

proptest! {
    #[test]
    fn a_set_answers_like_a_plain_one(
        patterns in prop::collection::vec(any_pattern(), 0..40),
        hosts in prop::collection::vec(any_name(), 1..40),
    ) {
        let texts: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let set = set(&texts);
        for host in &hosts {
            prop_assert_eq!(set.contains(host), model(&patterns, host), "{}", host);
            let one_by_one = texts.iter().any(|text| DomainPattern::parse(text).unwrap().covers(host));
            prop_assert_eq!(one_by_one, model(&patterns, host), "{}", host);
        }
    }

    #[test]
    fn any_text_is_a_list(text in "([|]{0,2}[a-b.*]{0,9}[\\^ #!$\n]{0,2}){0,9}|.*") {
        let (set, summary) = DomainSet::from_list(&text);
        prop_assert!(set.len() <= summary.names);
        prop_assert_eq!(summary.skipped == 0, summary.first_skipped == 0);
    }
}
