//! `network`: the file that names a network and the keys of its directory; drafts signed by several people.
//!
//! Keys of the directory are one line of digits each, for their owner alone. Not here: publishing, which a node does
//! (`[node] publish`).

use super::{Exit, Output};
use crate::wiring::directory_key;
use clap::{Args, Subcommand};
use getrandom::SysRng;
use rand_core::UnwrapErr;
use serde_json::json;
use shoalway_overlay::keys::files;
use shoalway_overlay_proto::identity::ed25519::SecretKey;
use shoalway_overlay_proto::kdf::Secret;
use shoalway_overlay_proto::network::{Network, NetworkFile, NetworkTerms};
use shoalway_overlay_proto::snapshot::Draft;
use shoalway_wallet::to_hex;
use std::io;
use std::path::{Path, PathBuf};

/// Commands below `network`.
#[derive(Subcommand)]
pub enum NetworkCommand {
    /// Make a network: its file, and the keys of its directory
    New(NewArgs),
    /// Show what a network file says, and who has signed it
    Show {
        /// The file
        file: PathBuf,
    },
    /// Sign a draft: of a network file, or of a snapshot that waits for signatures
    Sign(SignArgs),
}

/// Flags of `network new`.
#[derive(Args)]
pub struct NewArgs {
    /// What people call it, 1 to 64 bytes
    pub name: String,
    /// Where to write the files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
    /// How many keys the directory has
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub keys: u8,
    /// How many of them must sign; more than half of them. Else just more than half
    #[arg(short, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub k: Option<u8>,
    /// For trying out on one machine: permits loopback and private addresses, for ever
    #[arg(long)]
    pub lab: bool,
}

/// Flags of `network sign`.
#[derive(Args)]
pub struct SignArgs {
    /// The draft
    pub file: PathBuf,
    /// Keys to sign with; may be given several times
    #[arg(long = "key", value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// Take over the signatures of another copy; may be given several times
    #[arg(long, value_name = "FILE")]
    pub join: Vec<PathBuf>,
    /// Network file that a snapshot belongs to, or that a new network file follows
    #[arg(long, value_name = "FILE")]
    pub network: Option<PathBuf>,
}

/// A network that was just made.
pub struct MadeNetwork {
    /// Its name, for ever: the hash of its first file.
    pub id: [u8; 32],
    /// Its file.
    pub file: PathBuf,
    /// The keys of its directory.
    pub keys: Vec<PathBuf>,
}

/// Does a command below `network`.
pub(super) fn network(command: &NetworkCommand, output: &Output) -> io::Result<Exit> {
    let done = match command {
        NetworkCommand::New(args) => new(args).map(|made| said_new(args, &made)),
        NetworkCommand::Show { file } => show(file),
        NetworkCommand::Sign(args) => sign(args),
    };
    match done {
        Ok((value, text)) => {
            if output.is_json() {
                output.json(&value)?
            } else {
                output.text(&text)?
            }
            Ok(Exit::Ok)
        }
        Err(message) => {
            output.failure(&message, "")?;
            Ok(Exit::Failed)
        }
    }
}

type Said = (serde_json::Value, String);

fn new(args: &NewArgs) -> Result<MadeNetwork, String> {
    let k = args.k.unwrap_or(args.keys / 2 + 1);
    make(&args.name, &args.out, args.keys, k, args.lab)
}

/// Makes a network in a folder: `NAME.network.toml` and `directory-N.key`.
///
/// # Errors
/// What is wrong, in words; a file that is there already is not written over.
pub fn make(name: &str, out: &Path, keys: u8, k: u8, lab: bool) -> Result<MadeNetwork, String> {
    let said = |error: files::FileError| error.to_string();
    let seeds: Vec<Secret> = (0..keys).map(|_| Secret::random(&mut UnwrapErr(SysRng))).collect();
    let keys: Vec<SecretKey> = seeds.iter().map(|seed| SecretKey::from_seed(seed.bytes())).collect();
    let terms = NetworkTerms {
        version: 1,
        previous: None,
        name: name.to_owned(),
        k: usize::from(k),
        keys: keys.iter().map(SecretKey::public).collect(),
        mirrors: Vec::new(),
        lab,
    };
    let mut draft = NetworkFile::draft(terms).map_err(|error| error.to_string())?;
    keys.iter().for_each(|key| {
        draft.sign(key, None);
    });
    files::make_folder(out).map_err(said)?;
    let stem: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let file = out.join(format!("{stem}.network.toml"));
    let mut paths = Vec::new();
    for (number, seed) in seeds.iter().enumerate() {
        let path = out.join(format!("directory-{number}.key"));
        let mut line = to_hex(seed.bytes());
        line.push('\n');
        files::create(&path, line.as_bytes()).map_err(said)?;
        paths.push(path);
    }
    files::create(&file, draft.encode().as_bytes()).map_err(said)?;
    Ok(MadeNetwork { id: *draft.hash(), file, keys: paths })
}

fn said_new(args: &NewArgs, made: &MadeNetwork) -> Said {
    let id = to_hex(&made.id).to_string();
    let keys: Vec<String> = made.keys.iter().map(|path| path.display().to_string()).collect();
    let value = json!({ "ok": true, "network": id, "file": made.file, "keys": keys, "lab": args.lab });
    let lab = if args.lab { " (a lab: for one machine)" } else { "" };
    let text = format!(
        "The network `{}`{lab} is {id}\nIts file, for everybody: {}\nKeys of its directory, for nobody else: {}\n",
        args.name,
        made.file.display(),
        keys.join(" ")
    );
    (value, text)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

fn draft_of(path: &Path) -> Result<NetworkFile, String> {
    NetworkFile::parse_draft(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))
}

fn show(path: &Path) -> Result<Said, String> {
    let file = draft_of(path)?;
    let terms = file.terms();
    let is_signed = NetworkFile::parse(file.encode().as_bytes()).is_ok();
    let value = json!({
        "hash": *to_hex(file.hash()),
        "name": terms.name,
        "version": terms.version,
        "k": terms.k,
        "keys": terms.keys.iter().map(|key| to_hex(key).to_string()).collect::<Vec<_>>(),
        "mirrors": terms.mirrors,
        "lab": terms.lab,
        "signed": is_signed,
    });
    let lab = if terms.lab { ", a lab" } else { "" };
    let signed = if is_signed { "signed" } else { "not signed by enough keys yet" };
    let text = format!(
        "`{}`, version {}{lab}: {}\n{} of {} keys sign; it is {signed}\n",
        terms.name,
        terms.version,
        *to_hex(file.hash()),
        terms.k,
        terms.keys.len()
    );
    Ok((value, text))
}

fn sign(args: &SignArgs) -> Result<Said, String> {
    let keys = args.keys.iter().map(|path| directory_key(path)).collect::<Result<Vec<_>, _>>()?;
    let bytes = read(&args.file)?;
    let complete = if bytes.starts_with(b"OVS1") {
        sign_snapshot(args, &keys, &bytes)?
    } else {
        sign_network(args, &keys)?
    };
    let value = json!({ "ok": true, "file": args.file, "complete": complete });
    let what = if complete { "enough keys have signed" } else { "more keys must sign" };
    Ok((value, format!("{}: {what}\n", args.file.display())))
}

fn sign_network(args: &SignArgs, keys: &[SecretKey]) -> Result<bool, String> {
    let mut file = draft_of(&args.file)?;
    let before = args.network.as_deref().map(draft_of).transpose()?;
    for path in &args.join {
        if !file.join(&draft_of(path)?) {
            return Err(format!("{} is a draft of something else", path.display()));
        }
    }
    for (key, path) in keys.iter().zip(&args.keys) {
        if !file.sign(key, before.as_ref().map(NetworkFile::terms)) {
            return Err(format!("{} is no key of this network", path.display()));
        }
    }
    let text = file.encode();
    files::replace(&args.file, text.as_bytes()).map_err(|error| error.to_string())?;
    Ok(NetworkFile::parse(text.as_bytes()).is_ok())
}

fn sign_snapshot(args: &SignArgs, keys: &[SecretKey], bytes: &[u8]) -> Result<bool, String> {
    let path = args.network.as_deref().ok_or("a snapshot is signed with its network file: --network FILE")?;
    let network = Network::begin(&read(path)?).map_err(|error| format!("{}: {error}", path.display()))?;
    let parse = |bytes: &[u8]| Draft::parse(bytes, &network).map_err(|error| error.to_string());
    let mut draft = parse(bytes)?;
    for path in &args.join {
        if !draft.join(&parse(&read(path)?)?) {
            return Err(format!("{} is a draft of something else", path.display()));
        }
    }
    for (key, path) in keys.iter().zip(&args.keys) {
        if !draft.sign(&network, key) {
            return Err(format!("{} is no key of this network", path.display()));
        }
    }
    files::replace(&args.file, &draft.encode()).map_err(|error| error.to_string())?;
    Ok(draft.is_complete(&network))
}
