//! The metrics page, read as Prometheus reads it: text format 0.0.4.

use std::collections::BTreeMap;

/// All samples of one reading.
#[derive(Debug)]
pub struct Metrics {
    samples: Vec<Sample>,
    /// Metric names with a `# TYPE` line, and the type.
    pub types: BTreeMap<String, String>,
}

#[derive(Debug)]
struct Sample {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads the text; anything that is no sample, comment or empty line fails the test.
    #[track_caller]
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut all = Self { samples: Vec::new(), types: BTreeMap::new() };
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a type");
                all.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') {
                all.samples.push(sample(line).unwrap_or_else(|| panic!("no sample: {line}")));
            }
        }
        all
    }

    /// The sum of all samples with this name and at least these labels; none are 0.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&Sample| {
            let has = |(key, value): &(&str, &str)| sample.labels.iter().any(|(k, v)| k == key && v == value);
            sample.name == name && labels.iter().all(has)
        };
        self.samples.iter().filter(fits).map(|sample| sample.value).sum()
    }

    /// Every metric name there is a sample of, once.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.samples.iter().map(|sample| sample.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

fn sample(line: &str) -> Option<Sample> {
    let (rest, value) = line.rsplit_once(' ')?;
    let (name, labels) = match rest.split_once('{') {
        None => (rest, Vec::new()),
        Some((name, rest)) => (name, labels(rest.strip_suffix('}')?)?),
    };
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let named = !name.is_empty() && name.chars().all(fine);
    named.then_some(Sample { name: name.to_owned(), labels, value: value.parse().ok()? })
}

/// `a="b",c="d"`; the label values of these tests hold no quote.
fn labels(text: &str) -> Option<Vec<(String, String)>> {
    let one = |part: &str| {
        let (key, value) = part.split_once("=\"")?;
        Some((key.to_owned(), value.to_owned()))
    };
    text.trim_end_matches(',')
        .split_terminator('"')
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .chunks(2)
        .map(|pair| {
            let [key, value] = pair else { return None };
            one(&format!("{}\"{value}", key.trim_start_matches(',')))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_summed_by_label() {
        let all = Metrics::parse(
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{x=\"1\",y=\"p,q\"} 2\na_total{x=\"2\"} 3\nb 0.5\n",
        );
        assert_eq!((all.sum("a_total", &[]), all.sum("a_total", &[("x", "1")])), (5.0, 2.0));
        assert_eq!((all.sum("a_total", &[("y", "p,q")]), all.sum("b", &[])), (2.0, 0.5));
        assert_eq!((all.names(), all.types["a_total"].as_str()), (vec!["a_total", "b"], "counter"));
    }

    #[test]
    #[should_panic(expected = "no sample")]
    fn what_is_no_sample_is_found() {
        let _all = Metrics::parse("<html>\n");
    }
}
