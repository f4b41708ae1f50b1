//! `key`: wallets of nodes, from the first words to the delegation that a node runs with.
//!
//! ```text
//! DIR/NAME.json          the wallet's key, encrypted (Web3 Secret Storage, version 3)
//! DIR/NAME.backup        how its words can be asked for, and whether they were answered; no words
//! DIR/NAME.delegation    what the wallet lets the node do, in hexadecimal digits
//! DIR/NAME.nodekey       the node's own key, an Ed25519 seed in hexadecimal digits
//! ```
//! Every file is for its owner alone, and refused when it is not. A node needs the last two; the first two may stay
//! on another machine. Not here: what the files mean (`wallet`, `overlay-proto`).

mod error;
mod files;
mod input;
mod make;
mod place;
mod proof;
mod record;
mod rotate;
mod show;
mod terminal;

use super::{Exit, Output};
use crate::config::Request;
use clap::{Args, Subcommand, ValueEnum};
use error::KeyError;
use getrandom::SysRng;
use place::Place;
use rand_core::{CryptoRng, UnwrapErr};
use std::io;
use std::path::PathBuf;

/// The directory of keys when none is named.
#[must_use]
pub fn keys_directory(surroundings: &crate::config::Surroundings) -> PathBuf {
    place::default_dir(surroundings)
}

/// Commands below `key`.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Make a wallet: show its words once, keep its key encrypted
    New(NewArgs),
    /// Make a wallet's files anew from its words
    Restore(RestoreArgs),
    /// Show addresses, backups and delegations; asks for no password
    Show(ShowArgs),
    /// Print the encrypted key, or write it to a file, for another program or machine
    Export(ExportArgs),
    /// Make a new node key and sign it in; the one before is worth nothing from then on
    Rotate(RotateArgs),
    /// Prove that the words are on paper: three of them on a terminal, else all from standard input
    VerifyBackup(VerifyArgs),
}

/// Which wallet.
#[derive(Args)]
pub struct WalletArgs {
    /// Name of the wallet, or the path of its .json file
    #[arg(default_value = "node")]
    pub name: String,
    /// Directory of the keys, when it is not the usual one
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
}

/// Where the password comes from. Never an argument: those are seen by every user of the machine.
#[derive(Args)]
pub struct PasswordArgs {
    /// File with the password; else it is asked for on the terminal
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// What a wallet is made with besides words.
#[derive(Args)]
pub struct MakeArgs {
    /// Write the encrypted key here; the name ends in .json and the other files lie beside it
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Ask for a BIP-39 passphrase on the terminal; without it the words are worth nothing
    #[arg(long)]
    pub passphrase: bool,
    /// File with the BIP-39 passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase")]
    pub passphrase_file: Option<PathBuf>,
    /// Which key of the words: m/44'/60'/0'/0/N
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..1 << 31))]
    pub index: u32,
    /// Encrypt for small machines, with 4 MiB instead of 256; the password must be the better
    #[arg(long)]
    pub light: bool,
}

/// Flags of `key new`.
#[derive(Args)]
pub struct NewArgs {
    /// Which
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// How many words
    #[arg(long, value_name = "N", default_value = "12")]
    pub words: WordCount,
    /// How
    #[command(flatten)]
    pub make: MakeArgs,
    /// Its password
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// How many words a wallet has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WordCount {
    /// As strong as the key itself
    #[value(name = "12")]
    Twelve,
    /// Where somebody asks for them
    #[value(name = "24")]
    TwentyFour,
}

/// Flags of `key restore`.
#[derive(Args)]
pub struct RestoreArgs {
    /// Which
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// Only if the words are those of this address
    #[arg(long, value_name = "0x...")]
    pub address: Option<String>,
    /// How
    #[command(flatten)]
    pub make: MakeArgs,
    /// Its password from now on
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// Flags of `key show`.
#[derive(Args)]
pub struct ShowArgs {
    /// Name of a wallet, or the path of its .json file; without one all of the directory
    pub name: Option<String>,
    /// Directory of the keys, when it is not the usual one
    #[arg(long, value_name = "DIR")]
    pub keys: Option<PathBuf>,
    /// Print the address alone
    #[arg(long)]
    pub address_only: bool,
}

/// Flags of `key export`.
#[derive(Args)]
pub struct ExportArgs {
    /// Which
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// Write it here instead of standard output
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Say why words cannot be exported
    #[arg(long)]
    pub words: bool,
}

/// Flags of `key rotate`.
#[derive(Args)]
pub struct RotateArgs {
    /// Which
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// The network: its 64 hexadecimal digits, or its first network file
    #[arg(long, value_name = "ID|FILE")]
    pub network: String,
    /// What the node may do: entry, middle, exit, directory; else what it may do now
    #[arg(long, value_name = "ROLES", value_delimiter = ',')]
    pub roles: Vec<String>,
    /// For how many days
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=30))]
    pub days: u64,
    /// Withdraw the node from the network instead; its node key is erased
    #[arg(long, conflicts_with_all = ["roles", "days"])]
    pub withdraw: bool,
    /// Its password
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// Flags of `key verify-backup`.
#[derive(Args)]
pub struct VerifyArgs {
    /// Which
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// Ask for all words on the terminal too
    #[arg(long)]
    pub all: bool,
    /// File with the BIP-39 passphrase, where the wallet has one
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Its password
    #[command(flatten)]
    pub password: PasswordArgs,
}

/// Does a command below `key`.
pub(super) fn key(command: &KeyCommand, request: &Request, output: &Output) -> io::Result<Exit> {
    let done = match command {
        KeyCommand::New(args) => make::new(args, request, output),
        KeyCommand::Restore(args) => make::restore(args, request, output),
        KeyCommand::Show(args) => show::show(args, request, output),
        KeyCommand::Export(args) => show::export(args, request, output),
        KeyCommand::Rotate(args) => rotate::rotate(args, request, output),
        KeyCommand::VerifyBackup(args) => proof::verify(args, request, output),
    };
    match done {
        Ok(()) => Ok(Exit::Ok),
        Err(KeyError::Answer(error)) => Err(error),
        Err(error) => {
            output.failure(&format!("{}: {error}", error.code()), &error.hint())?;
            Ok(error.exit())
        }
    }
}

/// The system's generator. It panics where the system has none, since no secret may then be made.
fn chance() -> impl CryptoRng {
    UnwrapErr(SysRng)
}

impl WalletArgs {
    fn place(&self, request: &Request) -> Result<Place, KeyError> {
        Place::named(&self.name, self.keys.as_deref(), request)
    }
}
