//! The kit's side of the contract, against a shell script that keeps it.

use super::*;
use crate::wait::secs;
use std::os::unix::fs::PermissionsExt as _;

/// Says its events, reloads when the file has no `bad` in it, ends on TERM, and tells `status` its arguments.
const PROGRAM: &str = r#"#!/bin/sh
if [ "$1" = status ]; then printf '{"arguments":%d}' $#; exit 0; fi
echo '{"event":"listening","listener":"proxy","address":"127.0.0.1:4"}'
echo '{"event":"listening","listener":"socket","address":"/x/admin.sock"}'
echo '{"event":"ready"}'
echo "started in $(pwd)" >&2
reload() {
  if grep -q bad "$CONFIG"; then echo '{"event":"reload_failed","errors":1}'; else echo '{"event":"reloaded"}'; fi
}
CONFIG=$4
trap reload HUP
trap 'exit 0' TERM
echo '{"rule":1}' >access.log
while :; do sleep 1 & wait $!; done
"#;

fn program() -> (TempDir, String) {
    let dir = TempDir::new();
    let path = dir.write("program", PROGRAM);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn a_program_that_keeps_the_contract_is_driven() {
    let (_dir, bin) = program();
    let proxy =
        Proxy::builder(&bin).config("[proxy]\nlevel = \"elite\"").set("limits.drain", "\"1s\"").start();
    assert_eq!(proxy.addr().port(), 4);
    assert_eq!(proxy.socket(), PathBuf::from("/x/admin.sock"));
    assert_eq!(proxy.url("socks5h"), "socks5h://127.0.0.1:4");
    assert_eq!(proxy.log_values(1)[0]["rule"], 1);
    proxy.wait_for_stderr("started in");
    // status --json -c FILE, and -o KEY=VALUE for each of the six overrides
    assert_eq!(proxy.status_json()["arguments"], 2 + 2 + 12);
    assert_eq!(proxy.reload(), Ok(()));
    proxy.write_config("bad");
    assert_eq!(proxy.reload().unwrap_err()["errors"], 1);
    assert!(proxy.open_files() > 0 && proxy.memory() > 0);
    proxy.limit_open_files(7);
    proxy.stop();
}

#[test]
fn a_file_begins_with_its_version() {
    assert_eq!(builder::with_version("[proxy]\n"), "version = 1\n[proxy]\n");
    assert_eq!(builder::with_version("version = 9\n"), "version = 9\n");
}

#[test]
#[should_panic(expected = "ended before it was ready")]
fn a_program_that_ends_at_once_is_reported() {
    let _proxy = Proxy::start("/bin/false");
}

#[test]
fn the_end_of_a_launched_program_is_seen() {
    let mut proxy = Proxy::builder("/bin/false").launch();
    assert_eq!(proxy.wait_for_exit(secs(5)).code(), Some(1));
    assert!(!proxy.is_running());
}
