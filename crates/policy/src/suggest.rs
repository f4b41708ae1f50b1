//! "Did you mean": the known word nearest to a mistyped one.
//!
//! Distance is the number of characters to insert, drop, change or swap with a neighbour (optimal string
//! alignment). A third of the word may be wrong, at most two characters.

/// The nearest of `known`, when one is near enough to be meant. Case does not count.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let word: Vec<char> = word.to_lowercase().chars().collect();
    let allowed = word.len().div_ceil(3).min(2);
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= MAX_WORD)
        .map(|candidate| (distance(&word, &candidate.to_lowercase().chars().collect::<Vec<_>>()), candidate))
        .filter(|(steps, _)| *steps <= allowed)
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// `help: did you mean ...` for an error, with `otherwise` when nothing is near.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    nearest(word, known).map_or_else(|| otherwise.to_owned(), |near| format!("did you mean `{near}`?"))
}

/// Three rows of the usual table: the one before last is needed for swaps.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut a_prev: Option<char> = None;
    for (i, &ca) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        let mut b_prev: Option<char> = None;
        for (j, &cb) in b.iter().enumerate() {
            let cell = |line: &[usize], at: usize| line.get(at).copied().unwrap_or(usize::MAX - 1);
            let changed = cell(&above, j) + usize::from(ca != cb);
            let mut least = changed.min(cell(&above, j + 1) + 1).min(cell(&row, j) + 1);
            if j > 0 && a_prev == Some(cb) && b_prev == Some(ca) {
                least = least.min(cell(&before, j - 1).saturating_add(1));
            }
            row.push(least);
            b_prev = Some(cb);
        }
        a_prev = Some(ca);
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

/// Longer words are not worth a guess.
const MAX_WORD: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["block", "direct", "allow", "overlay", "domain", "port"];
        for (word, meant) in [
            ("blok", Some("block")),
            ("bolck", Some("block")),
            ("Block", Some("block")),
            ("dommain", Some("domain")),
            ("prot", Some("port")),
            ("group", None),
            ("", None),
            ("x", None),
            ("dom\u{e4}in", Some("domain")),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
        assert_eq!(nearest(&"a".repeat(500), known), None);
    }

    #[test]
    fn distance_counts_single_mistakes() {
        for (a, b, steps) in
            [("", "", 0), ("", "abc", 3), ("abc", "acb", 1), ("abc", "abd", 1), ("ca", "abc", 3)]
        {
            let [a, b] = [a, b].map(|text| text.chars().collect::<Vec<_>>());
            assert_eq!(distance(&a, &b), steps);
            assert_eq!(distance(&b, &a), steps);
        }
    }
}
