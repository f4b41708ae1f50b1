//! Replays every committed corpus through its target, and keeps the list of targets whole.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: fails loudly, says which file it reads"
)]

use shoalway_fuzz::{TARGETS, run};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One test a target, under the target's name.
macro_rules! replay {
    ($($name:ident),* $(,)?) => {
        const REPLAYED: &[&str] = &[$(stringify!($name)),*];

        mod corpus_of {
            $(#[test]
            fn $name() {
                super::replay(stringify!($name));
            })*
        }
    };
}

replay!(
    first_bytes,
    proxy_protocol,
    client_hello,
    socks4,
    socks5_server,
    socks5_client,
    socks5_udp,
    http1_request,
    http1_response,
    http1_body,
    http1_differential,
    h2_request,
    h2_response,
    h2_trailers,
    rules,
    domain_list,
    users,
    config,
    delegation,
    revocations,
    descriptor,
    network_file,
    snapshot,
    chain,
    invite,
    link_frames,
    record_frames,
    link_state,
    circuit_state,
    opener,
    create,
    accept,
    node_auth,
    keystore,
    words,
);

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn replay(name: &str) {
    let folder = here("corpus").join(name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).map(|list| list.map(|file| file.unwrap().path()).collect()).unwrap_or_default();
    files.sort();
    assert!(!files.is_empty(), "{} holds no seed", folder.display());
    for file in files {
        let data = fs::read(&file).unwrap();
        // The test's output then ends with the file that broke a promise.
        println!("{}", file.display());
        run(name, &data);
    }
}

#[test]
fn every_target_has_a_test_a_program_and_a_corpus() {
    let targets: BTreeSet<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(targets, REPLAYED.iter().copied().collect(), "src/lib.rs and this file differ");

    let manifest = fs::read_to_string(here("Cargo.toml")).unwrap();
    for name in &targets {
        let program = format!("fuzz_targets/{name}.rs");
        let text = fs::read_to_string(here(&program)).unwrap_or_default();
        assert!(text.contains(&format!("run(\"{name}\"")), "{program} does not run its target");
        assert!(manifest.contains(&format!("path = \"{program}\"")), "Cargo.toml does not build {program}");
    }

    let folders: BTreeSet<String> = fs::read_dir(here("corpus"))
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        folders,
        targets.iter().map(|name| (*name).to_owned()).collect(),
        "corpora and targets differ"
    );
}
