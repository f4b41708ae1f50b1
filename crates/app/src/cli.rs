//! The command line: what can be asked for, and the commands that need no running proxy.
//!
//! [`run`] does those itself and hands the others back as a [`Service`]. Standard output carries the answer,
//! standard error what went wrong; with `--json` both are one JSON value on standard output. Not here: starting
//! and asking the proxy (wiring).
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the doc comments are what users read in help and schema: brackets in them are theirs"
)]

mod certs;
mod config_commands;
mod environment;
mod exec;
mod exit;
mod generated;
mod key;
mod lab;
mod listening;
pub mod network;
mod node;
mod output;
mod reverse;
mod save;
pub mod share;
mod translate;
mod why;

pub use certs::{CaCommand, CertCommand, StorageArgs};
pub use exit::Exit;
pub use key::{KeyCommand, keys_directory};
pub use lab::LabArgs;
pub use network::NetworkCommand;
pub use node::NodeCommand;
pub use output::Output;
pub use share::{JoinArgs, ShareCommand};
pub use translate::{Translated, translate};

use crate::config::{Ending, Loaded, Report, Request, Surroundings, load, search};
use crate::operate::CertAsk;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

/// One small program for every seat a proxy can take.
#[derive(Parser)]
#[command(name = "shoalway", version, about, after_help = AFTER, max_term_width = 100)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// Without a command the proxy starts here, with what it finds, and says what it does.
    #[command(subcommand)]
    pub command: Option<Command>,
}

const AFTER: &str = "\
Without a command: HTTP and SOCKS on 127.0.0.1:3128; nothing on the system is changed.
Exit codes: 0 ok, 1 failed, 2 usage, 69 no proxy is running, 75 try later, 77 not permitted, 78 bad configuration;
`why` 11 = blocked.";

/// What every command takes.
#[derive(Args, Clone, Default)]
pub struct Globals {
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Configuration file; else $SHOALWAY_CONFIG, ./shoalway.toml, ~/.config/shoalway/, /etc/shoalway/
    #[arg(short = 'c', long = "config", global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Override a key of the configuration; may be given several times
    #[arg(short = 'o', long = "option", global = true, value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
}

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Run the proxy with its configuration file
    Run,
    /// Run a proxy made of flags: listeners (-L) and a proxy to go through (-F)
    Proxy(ProxyArgs),
    /// Run a reverse proxy made of flags: one site (--from) in front of a server (--to)
    Reverse(ReverseArgs),
    /// Say which rule decides about a URL, and where it would go; sends nothing
    Why(WhyArgs),
    /// Show what the running proxy is doing
    Status,
    /// Let the running proxy read its configuration again, all of it or nothing
    Reload,
    /// Let the running proxy finish its work and end
    Drain,
    /// Show the upstreams of sites and streams, and change them without a reload
    #[command(subcommand)]
    Upstream(UpstreamCommand),
    /// Answer with exit code 0 when the proxy is running and ready, else 69
    Healthcheck,
    /// Print the shell commands that set the proxy variables
    Env(EnvArgs),
    /// Run one program through the proxy
    Exec(ExecArgs),
    /// Make, check, show and explain the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show, renew and rehearse certificates
    #[command(subcommand)]
    Cert(CertCommand),
    /// Show the authority of this machine, for names below .internal
    #[command(subcommand)]
    Ca(CaCommand),
    /// Make, back up and use the wallets of nodes
    #[command(subcommand)]
    Key(KeyCommand),
    /// Run a whole network of the overlay on this machine, for trying it out
    Lab(LabArgs),
    /// Make and sign the file of a network, for its operator
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Set up a node of the overlay, and look after it
    #[command(subcommand)]
    Node(NodeCommand),
    /// Invite people, or other nodes, to this node
    #[command(subcommand)]
    Share(ShareCommand),
    /// Take an invitation, from standard input or a file
    Join(JoinArgs),
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands into a directory
    Man {
        /// Where to write them
        dir: Option<PathBuf>,
    },
    /// Print the version
    Version,
}

/// Flags of `proxy`.
#[derive(Args)]
pub struct ProxyArgs {
    /// Listen here: [SCHEME://][USER:PASSWORD@][ADDRESS]:PORT; without an address on 127.0.0.1
    #[arg(short = 'L', long = "listen", value_name = "URL", required = true)]
    pub listen: Vec<String>,
    /// Go through this proxy: http, https, socks4a, socks5 or socks5h://[USER:PASSWORD@]HOST[:PORT]
    #[arg(short = 'F', long = "forward", value_name = "URL")]
    pub forward: Vec<String>,
    /// Write the equal configuration file (`-`: print it) instead of starting
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "shoalway.toml")]
    pub save: Option<PathBuf>,
}

/// Flags of `reverse`.
#[derive(Args)]
pub struct ReverseArgs {
    /// Where clients come: :PORT (on 127.0.0.1), ADDRESS:PORT, or HOST[:PORT] for that host alone
    #[arg(long, value_name = "HOST|ADDRESS")]
    pub from: String,
    /// Where requests go: http://, https://, h2c://HOST[:PORT], unix:/PATH or a port; may be given several times
    #[arg(long, value_name = "URL", required = true)]
    pub to: Vec<String>,
    /// Write the equal configuration file (`-`: print it) instead of starting
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "shoalway.toml")]
    pub save: Option<PathBuf>,
}

/// Commands below `upstream`.
#[derive(Subcommand, Clone)]
pub enum UpstreamCommand {
    /// Show every upstream and how its endpoints fare
    List,
    /// Send an endpoint nothing new; what is under way goes on
    Drain(EndpointArgs),
    /// Send to a drained endpoint again
    Resume(EndpointArgs),
    /// Give an endpoint another weight; without one that of the configuration again
    Weight {
        /// Which
        #[command(flatten)]
        at: EndpointArgs,
        /// 0 to 65535; 0 sends it nothing
        weight: Option<u32>,
    },
    /// Take in an endpoint, until a reload changes the upstream
    Add(EndpointArgs),
    /// Leave out an endpoint, until a reload changes the upstream
    Remove(EndpointArgs),
}

/// An endpoint of an upstream.
#[derive(Args, Clone)]
pub struct EndpointArgs {
    /// Name of the upstream, as `upstream list` shows it
    pub upstream: String,
    /// The endpoint, such as http://192.0.2.11:8080
    pub endpoint: String,
}

/// Flags of `why`.
#[derive(Args)]
pub struct WhyArgs {
    /// A URL, or HOST:PORT
    pub url: String,
    /// As this user
    #[arg(long)]
    pub user: Option<String>,
    /// As a client at this address
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub from: IpAddr,
    /// With this method; else GET for http:// and CONNECT for everything else
    #[arg(long)]
    pub method: Option<String>,
}

/// Flags of `env`.
#[derive(Args)]
pub struct EnvArgs {
    /// Unset the variables instead
    #[arg(long)]
    pub unset: bool,
    /// For this shell; else the one in $SHELL
    #[arg(long)]
    pub shell: Option<ShellKind>,
}

/// How a shell sets variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShellKind {
    /// sh, bash, zsh, dash and the like
    Sh,
    /// fish
    Fish,
    /// PowerShell
    Powershell,
}

/// Flags of `exec`.
#[derive(Args)]
pub struct ExecArgs {
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Commands below `config`.
#[derive(Subcommand)]
pub enum ConfigCommand {
    /// Print a commented file with every key and its default
    Init,
    /// Show every mistake at once
    Check,
    /// Show the values that hold, defaults included
    Show {
        /// The defaults alone, whatever the file says
        #[arg(long)]
        defaults: bool,
        /// With the place each value comes from
        #[arg(long)]
        origin: bool,
    },
    /// Explain a key, a section or an error code; without one, list all keys
    Explain {
        /// Such as `proxy.listen`, `limits` or `C012`
        key: Option<String>,
    },
    /// Print the JSON schema of the file, for editors
    Schema,
}

/// A command that needs the proxy itself: started with the request, or asked over its socket.
pub enum Service {
    /// No command: run, and say what it does and what to try.
    Local(Box<Request>),
    /// Run.
    Run(Box<Request>),
    /// Show what the running proxy does.
    Status(Box<Request>),
    /// Reload the running proxy.
    Reload(Box<Request>),
    /// Drain the running proxy.
    Drain(Box<Request>),
    /// Show or change upstreams of the running proxy.
    Upstream(Box<Request>, UpstreamCommand),
    /// Renew or rehearse certificates of the running proxy.
    Cert(Box<Request>, CertAsk),
    /// Whether the running proxy is ready.
    Healthcheck(Box<Request>),
    /// Show what the running node does.
    NodeStatus(Box<Request>),
    /// Let the running exit take no new connections.
    NodeDrain(Box<Request>),
    /// Run a lab.
    Lab(Box<LabArgs>, Surroundings),
}

/// What became of a command.
pub enum Outcome {
    /// It is done.
    Done(Exit),
    /// It is for the proxy.
    Service(Service),
}

/// Does a command, or hands back what only the proxy can do.
///
/// # Errors
/// When standard output fails for another reason than a reader that went away.
pub fn run(cli: Cli, surroundings: &Surroundings) -> io::Result<Outcome> {
    let output = Output::new(cli.globals.json);
    match dispatch(cli, surroundings, &output) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Outcome::Done(Exit::Ok)),
        outcome => outcome,
    }
}

fn dispatch(cli: Cli, surroundings: &Surroundings, output: &Output) -> io::Result<Outcome> {
    let request = request(&cli.globals, surroundings);
    let service =
        |service: fn(Box<Request>) -> Service| Ok(Outcome::Service(service(Box::new(request.clone()))));
    let exit = match cli.command {
        None => return service(Service::Local),
        Some(Command::Run) => return service(Service::Run),
        Some(Command::Status) => return service(Service::Status),
        Some(Command::Reload) => return service(Service::Reload),
        Some(Command::Drain) => return service(Service::Drain),
        Some(Command::Upstream(command)) => {
            return Ok(Outcome::Service(Service::Upstream(Box::new(request), command)));
        }
        Some(Command::Cert(command)) => match certs::cert(command, &request, output)? {
            Ok(exit) => exit,
            Err(ask) => return Ok(Outcome::Service(Service::Cert(Box::new(request), ask))),
        },
        Some(Command::Ca(command)) => certs::ca(&command, &request, output)?,
        Some(Command::Healthcheck) => return service(Service::Healthcheck),
        Some(Command::Proxy(args)) => return save::proxy(&args, request, output),
        Some(Command::Reverse(args)) => return save::reverse(&args, request, output),
        Some(Command::Why(args)) => why::why(&args, &request, output)?,
        Some(Command::Env(args)) => environment::env(&args, &request, output)?,
        Some(Command::Exec(args)) => exec::exec(&args, &request, output)?,
        Some(Command::Config(command)) => config_commands::config(&command, &request, output)?,
        Some(Command::Key(command)) => key::key(&command, &request, output)?,
        Some(Command::Lab(args)) => {
            return Ok(Outcome::Service(Service::Lab(Box::new(args), surroundings.clone())));
        }
        Some(Command::Network(command)) => network::network(&command, output)?,
        Some(Command::Node(NodeCommand::Status)) => return service(Service::NodeStatus),
        Some(Command::Node(NodeCommand::Drain)) => return service(Service::NodeDrain),
        Some(Command::Node(NodeCommand::Doctor)) => node::doctor(&request, output)?,
        Some(Command::Node(NodeCommand::Setup(args))) => node::setup(&args, &request, output)?,
        Some(Command::Share(command)) => share::share(&command, &request, output)?,
        Some(Command::Join(args)) => share::join(&args, output)?,
        Some(Command::Completions { shell }) => generated::completions(shell, output)?,
        Some(Command::Man { dir }) => generated::man(dir.as_deref(), output)?,
        Some(Command::Version) => generated::version(output)?,
    };
    Ok(Outcome::Done(exit))
}

/// What the flags and surroundings ask to load.
#[must_use]
pub fn request(globals: &Globals, surroundings: &Surroundings) -> Request {
    Request {
        file: search::find(globals.config.as_deref(), surroundings),
        overrides: globals.overrides.clone(),
        surroundings: surroundings.clone(),
    }
}

/// Loads for a command; a report with errors is shown, and [`Exit::BadConfig`] is then the answer. Warnings are
/// for `config check` and the start of the proxy.
fn loaded(request: &Request, output: &Output) -> io::Result<Result<Loaded, Exit>> {
    match load(request) {
        Ok(loaded) => Ok(Ok(loaded)),
        Err(report) => {
            show_report(&report, Ending::Start, output)?;
            Ok(Err(Exit::BadConfig))
        }
    }
}

/// Shows a report: text to standard error, JSON to standard output.
///
/// # Errors
/// When writing fails.
pub fn show_report(report: &Report, ending: Ending<'_>, output: &Output) -> io::Result<()> {
    if output.is_json() { output.json(&report.to_json()) } else { output.complain(&report.to_text(ending)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_before_and_after_the_command() {
        for line in [
            &["shoalway", "-c", "a.toml", "-o", "k=v", "--json", "run"][..],
            &["shoalway", "run", "--json", "-c", "a.toml", "-o", "k=v"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
            assert!(cli.globals.json && matches!(cli.command, Some(Command::Run)));
            assert_eq!(cli.globals.config, Some(PathBuf::from("a.toml")));
            assert_eq!(cli.globals.overrides, ["k=v"]);
        }
    }

    #[test]
    fn a_program_keeps_its_own_flags() {
        let cli = Cli::try_parse_from(["shoalway", "exec", "--", "curl", "-o", "x", "--json"]);
        let Some(Command::Exec(args)) = cli.unwrap_or_else(|error| panic!("{error}")).command else {
            panic!()
        };
        assert_eq!(args.command, ["curl", "-o", "x", "--json"]);
    }
}
