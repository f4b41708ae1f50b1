//! Whether a route leaves nothing for a later one. Only what can be said for certain is: paths that are plain, or end in
//! their only `*`.

use shoalway_reverse::routes::FieldTest;

/// What a route takes, as far as it can be compared.
#[derive(Default)]
pub(super) struct Shape {
    /// As written; `*` where there is none.
    pub(super) path: String,
    /// Empty: any.
    pub(super) methods: Vec<String>,
    /// All of these.
    pub(super) fields: Vec<FieldTest>,
}

impl Shape {
    /// Whether nothing is left for the other one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!other.methods.is_empty()
                && other.methods.iter().all(|method| self.methods.contains(method)));
        methods
            && covers(&self.path, &other.path)
            && self.fields.iter().all(|field| other.fields.contains(field))
    }
}

fn covers(first: &str, second: &str) -> bool {
    match first.strip_suffix('*') {
        Some(prefix) if !prefix.contains('*') => {
            // What guards a folder guards its name.
            second.starts_with(prefix) || prefix.strip_suffix('/') == Some(second)
        }
        Some(_) | None => first == second,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn only_what_is_certain_is_said() {
        for (first, second, wanted) in [
            ("*", "/a", true),
            ("/*", "/a*", true),
            ("/a/*", "/a", true),
            ("/a/*", "/a/b/*.php", true),
            ("/a", "/a", true),
            ("/a", "/a*", false),
            ("/a/*", "/ab", false),
            ("*.php", "/a.php", false),
            ("*.php", "*.php", true),
            ("/a*b*", "/axb", false),
        ] {
            assert_eq!(covers(first, second), wanted, "{first} {second}");
        }
    }
}
