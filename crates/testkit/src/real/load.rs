//! nghttp2's load generator: many requests over many connections and streams, each of which must be answered.

use super::CLIENT_PATIENCE;
use super::ran::Ran;
use std::process::Command;

/// Runs `h2load` with so many requests and these words; it fails the test unless each got an answer with 2xx.
#[track_caller]
pub fn h2load(requests: u32, words: &[&str]) -> Ran {
    let mut command = Command::new("h2load");
    command.args(["-n", &requests.to_string(), "-T", "20"]).args(words);
    let ran = Ran::of(&mut command, b"", CLIENT_PATIENCE);
    let n = requests;
    for all in [
        format!("requests: {n} total, {n} started, {n} done, {n} succeeded, 0 failed, 0 errored, 0 timeout"),
        format!("status codes: {n} 2xx, 0 3xx, 0 4xx, 0 5xx"),
    ] {
        assert!(ran.text().contains(&all), "not {all:?}: {ran}");
    }
    ran
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Origin, Reply};

    #[test]
    fn each_request_is_counted() {
        let origin = Origin::start(Reply::ok("x"));
        let ran = h2load(40, &["--h1", "-c", "4", &origin.url("/")]);
        assert!(ran.text().contains("http/1.1"), "{ran}");
        assert_eq!(origin.wait_for_requests(40).len(), 40);
    }

    #[test]
    #[should_panic(expected = "not \"requests: 5")]
    fn one_bad_answer_is_a_failure() {
        let origin = Origin::answering(|seen| {
            Reply::ok("x").status(if seen.connection == 0 { 503 } else { 200 }).close()
        });
        h2load(5, &["--h1", "-c", "1", &origin.url("/")]);
    }
}
