//! Where the configuration file is looked for.

use super::surroundings::Surroundings;
use std::path::{Path, PathBuf};

/// The variable that names a file.
pub const VARIABLE: &str = "SHOALWAY_CONFIG";

/// The file to load: the one given, else `$SHOALWAY_CONFIG`, else the first that exists of `shoalway.toml` here,
/// `$XDG_CONFIG_HOME/shoalway/shoalway.toml` (`~/.config` without the variable) and
/// `/etc/shoalway/shoalway.toml`. None: there is no file, and the defaults hold.
#[must_use]
pub fn find(given: Option<&Path>, surroundings: &Surroundings) -> Option<PathBuf> {
    if let Some(path) = given {
        return Some(path.to_owned());
    }
    if let Some(path) = surroundings.filled(VARIABLE) {
        return Some(PathBuf::from(path));
    }
    places(surroundings).into_iter().find(|path| surroundings.exists(path))
}

/// The places that are looked at when nobody names a file, in order.
#[must_use]
pub fn places(surroundings: &Surroundings) -> Vec<PathBuf> {
    let home = surroundings.filled("HOME").map(|home| Path::new(home).join(".config"));
    let user = surroundings.filled("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
    let mut places = vec![PathBuf::from("shoalway.toml")];
    places.extend(user.map(|dir| dir.join("shoalway/shoalway.toml")));
    places.push(PathBuf::from("/etc/shoalway/shoalway.toml"));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_in_the_documented_order() {
        let none = Surroundings::default().with_variable("XDG_CONFIG_HOME", "/nowhere/cfg");
        assert_eq!(find(None, &none), None);
        let user = none.with_file("/nowhere/cfg/shoalway/shoalway.toml", "");
        assert_eq!(find(None, &user), Some(PathBuf::from("/nowhere/cfg/shoalway/shoalway.toml")));
        let named = user.with_variable(VARIABLE, "/named.toml");
        assert_eq!(find(None, &named), Some(PathBuf::from("/named.toml")));
        assert_eq!(find(Some(Path::new("given.toml")), &named), Some(PathBuf::from("given.toml")));
    }
}
