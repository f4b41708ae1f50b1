//! strace: which system calls a running program makes while the test does something.

use crate::wait::{PATIENCE, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

/// System calls of all threads of a process, by name, from before `during` began until after it ended.
///
/// # Panics
/// When strace is missing or may not look at the process.
#[track_caller]
pub fn system_calls(process: u32, during: impl FnOnce()) -> BTreeMap<String, u64> {
    let mut child = Command::new("strace")
        .args(["-f", "-c", "-U", "name,calls", "-p", &process.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("start strace: {error}: run .ci/setup"));
    let said = Arc::new(Mutex::new(String::new()));
    let (mut stderr, record) = (child.stderr.take().expect("standard error"), Arc::clone(&said));
    let reader = thread::spawn(move || {
        let mut part = [0; 4_096];
        while let Ok(n @ 1..) = stderr.read(&mut part) {
            record.lock().expect("output").push_str(&String::from_utf8_lossy(&part[..n]));
        }
    });
    eventually(PATIENCE, "strace to attach", || {
        let text = said.lock().expect("output").clone();
        let ended = child.try_wait().expect("wait for strace");
        assert!(ended.is_none(), "strace ended: {text}");
        text.contains("attached").then_some(())
    });
    during();
    kill_process(Pid::from_child(&child), Signal::INT).expect("end strace");
    child.wait().expect("wait for strace");
    reader.join().expect("strace's output");
    let text = said.lock().expect("output").clone();
    counts(&text)
}

/// The lines `NAME CALLS` of strace's table.
fn counts(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, calls) = (words.next()?, words.next()?.parse().ok()?);
        (words.next().is_none() && name != "total").then(|| (name.to_owned(), calls))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read() {
        let text = "strace: Process 7 attached with 2 threads\nsyscall            calls\n---------------- ---------\n\
                    epoll_wait            12\nsendto                 3\n---------------- ---------\ntotal 15\n";
        let calls = counts(text);
        assert_eq!(calls.into_iter().collect::<Vec<_>>(), [("epoll_wait".into(), 12), ("sendto".into(), 3)]);
    }
}
