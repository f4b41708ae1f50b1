//! `examples`: what the documents tell people to type is accepted by the program.
//!
//! Every TOML block that begins with `version = 1` passes `config check`; every `shoalway COMMAND` in a shell block
//! is a command. Not here: what the commands do, which is for whole-program tests.

use crate::steps::{files, output, program, root};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::path::Path;

/// Documents that speak to users.
const DOCUMENTS: &[&str] = &["README.md", "docs/guide"];
/// Files that examples name, with something in them that is accepted: `test` with the password `test`.
const NAMED: &[(&str, &str)] = &[
    ("users.htpasswd", "test:$apr1$saltsalt$NBMPZFGR7yazCdGvlWJji1\n"),
    ("vps.pass", "secret\n"),
    ("app.pem", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
    ("app.key", "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n"),
    ("ca.pem", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"),
];

/// A fenced block of a document.
struct Block<'a> {
    language: &'a str,
    text: String,
    /// Line of its fence, counted from 1.
    line: usize,
}

/// Asks the program about every block, with a debug build of it.
pub(crate) fn check() -> Result<()> {
    let folder = root()?.join("target/examples");
    std::fs::create_dir_all(&folder)?;
    for (name, text) in NAMED {
        write_private(&folder.join(name), text)?;
    }
    let mut commands = BTreeSet::new();
    let mut configurations = 0;
    for document in files(DOCUMENTS)? {
        let text = std::fs::read_to_string(root()?.join(&document))?;
        for block in blocks(&text) {
            match block.language {
                "sh" => commands.extend(commands_in(&block.text)),
                "toml" if block.text.starts_with("version = 1\n") => {
                    let file = folder.join("example.toml");
                    std::fs::write(&file, &block.text)?;
                    shoalway(&["config", "check", "-c", &file.to_string_lossy()])
                        .with_context(|| format!("{}:{}", document.display(), block.line))?;
                    configurations += 1;
                }
                _ => {}
            }
        }
    }
    for command in &commands {
        shoalway(&[command, "--help"])?;
    }
    println!("{configurations} configurations, {} commands", commands.len());
    Ok(())
}

fn shoalway(args: &[&str]) -> Result<()> {
    let mut all = vec!["run", "--quiet", "--locked", "--package", "shoalway", "--"];
    all.extend(args);
    output("cargo", &all).map(drop)
}

/// For its owner alone, as the program demands of files with secrets.
fn write_private(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text)?;
    program("chmod", &["600", &path.to_string_lossy()], &[])
}

fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (at, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(language), None) => open = Some(Block { language, text: String::new(), line: at + 1 }),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    found
}

/// Second words of lines such as `shoalway why URL`; flags and comments are none.
fn commands_in(shell: &str) -> Vec<String> {
    let seconds = shell.lines().filter_map(|line| line.strip_prefix("shoalway ")?.split_whitespace().next());
    let words = seconds.filter(|word| word.chars().all(|c| c.is_ascii_lowercase()));
    words.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_language_and_line() {
        let text = "a\n```toml\nversion = 1\n```\nb\n```sh\nshoalway why x\nshoalway   # c\nls\n```\n";
        let found: Vec<_> = blocks(text).into_iter().map(|b| (b.language, b.text, b.line)).collect();
        assert_eq!(
            found,
            [
                ("toml", "version = 1\n".to_owned(), 2),
                ("sh", "shoalway why x\nshoalway   # c\nls\n".to_owned(), 6)
            ]
        );
        assert_eq!(commands_in(&found[1].1), ["why"]);
    }
}
