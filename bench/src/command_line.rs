//! The `--name value` pairs both programs are started with. Not a face for people: the runner writes them.

use std::collections::HashMap;
use std::str::FromStr;

use anyhow::{Context, bail};

/// Arguments as name and value.
#[derive(Debug)]
pub struct Flags(HashMap<String, String>);

impl Flags {
    /// Reads pairs of `--name value`.
    ///
    /// # Errors
    /// When a name lacks its dashes or its value.
    pub fn read(mut args: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut pairs = HashMap::new();
        while let Some(arg) = args.next() {
            let Some(name) = arg.strip_prefix("--") else { bail!("`{arg}` is not an option") };
            let value = args.next().with_context(|| format!("--{name} needs a value"))?;
            pairs.insert(name.to_owned(), value);
        }
        Ok(Self(pairs))
    }

    /// The value of `--name`.
    ///
    /// # Errors
    /// When it is absent or not a `T`.
    pub fn value<T: FromStr>(&self, name: &str) -> anyhow::Result<T> {
        let text = self.0.get(name).with_context(|| format!("--{name} is missing"))?;
        text.parse().ok().with_context(|| format!("--{name} {text} is not understood"))
    }

    /// The value of `--name`, or `default` when it is absent.
    ///
    /// # Errors
    /// When it is not a `T`.
    pub fn value_or<T: FromStr>(&self, name: &str, default: T) -> anyhow::Result<T> {
        if self.0.contains_key(name) { self.value(name) } else { Ok(default) }
    }
}

#[cfg(test)]
mod tests {
    use super::Flags;

    fn flags(line: &str) -> anyhow::Result<Flags> {
        Flags::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn pairs_are_read_and_defaults_fill_in() {
        let flags = flags("--count 12 --mode get").expect("two pairs");
        assert_eq!(flags.value::<u64>("count").expect("a number"), 12);
        assert_eq!(flags.value_or("workers", 64_usize).expect("default"), 64);
        assert!(flags.value::<u64>("mode").is_err());
        assert!(flags.value::<u64>("absent").is_err());
    }

    #[test]
    fn a_lonely_name_and_a_bare_word_are_refused() {
        assert!(flags("--count").is_err());
        assert!(flags("count 1").is_err());
    }
}
