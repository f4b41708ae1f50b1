//! What a process remembers: its writable memory, looked through for canaries.
//!
//! A scan that finds nothing proves that the canary was not there in these spellings at that moment, no more. Not here:
//! which spellings (the test's).

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Memory read at a time; neighbours overlap by the longest needle.
const PIECE: usize = 4 << 20;

/// A canary that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Which of the needles.
    pub needle: usize,
    /// The mapping, as /proc names it.
    pub mapping: String,
    /// Around it, as text.
    pub around: String,
}

/// Looks through all readable and writable mappings of a process, which takes root, for these needles.
///
/// # Panics
/// When the process is gone.
#[must_use]
pub fn scan(pid: u32, needles: &[&[u8]]) -> Vec<Found> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("the mappings of the process");
    let memory = File::open(format!("/proc/{pid}/mem")).expect("the memory of the process");
    let longest = needles.iter().map(|needle| needle.len()).max().unwrap_or(1);
    let mut found = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        let bounds = range.split_once('-').map(|(from, to)| (hex(from), hex(to)));
        let Some((Some(from), Some(to))) = bounds else { continue };
        if !rights.starts_with("rw") || line.ends_with("[vvar]") {
            continue;
        }
        let mut at = from;
        while at < to {
            let mut piece = vec![0; PIECE.min(usize::try_from(to - at).unwrap_or(PIECE))];
            // A page that was never touched, or is gone by now, cannot be read and holds nothing.
            let Ok(read) = memory.read_at(&mut piece, at) else { break };
            piece.truncate(read);
            for (number, needle) in needles.iter().enumerate() {
                found.extend(places(&piece, needle).map(|place| Found {
                    needle: number,
                    mapping: line.to_owned(),
                    around: around(&piece, place),
                }));
            }
            if read <= longest {
                break;
            }
            at += (read - longest + 1) as u64;
        }
    }
    found
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}

fn places<'a>(piece: &'a [u8], needle: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    memchr::memmem::find_iter(piece, needle)
}

fn around(piece: &[u8], place: usize) -> String {
    let from = place.saturating_sub(48);
    piece[from..(place + 80).min(piece.len())].escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_process_remembers_is_found_and_what_it_does_not_is_not() {
        let mut child = std::process::Command::new("cat")
            .env("CANARY", "a-canary-in-the-environment")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let needles: [&[u8]; 2] = [b"another-canary-that-is-not", b"a-canary-in-the-environment"];
        let found = crate::wait::eventually(crate::wait::PATIENCE, "the canary", || {
            let found = scan(child.id(), &needles);
            (!found.is_empty()).then_some(found)
        });
        assert!(found.iter().all(|found| found.needle == 1), "{found:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
