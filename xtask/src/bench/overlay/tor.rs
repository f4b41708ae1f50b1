//! A private Tor network: three relays that are its authorities too, and a client.
//!
//! An authority's key of years is made by `tor-gencert` and a relay's own by `tor` itself; both fingerprints go into everybody's
//! configuration. All paths lead through all three relays.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::super::load::OriginPorts;
use super::super::machine;
use super::super::peer::Peer;
use super::super::site::{Site, free_port};
use super::fleet::Member;

/// Number, folder and file of each relay.
const RELAYS: [(&str, &str, &str); 3] =
    [("1", "relay1", "relay1.conf"), ("2", "relay2", "relay2.conf"), ("3", "relay3", "relay3.conf")];

/// Seconds until there is a consensus with all three: the first one may lack a relay that was slow, the second one comes 20 s later.
const UNTIL_CONSENSUS: u32 = 32;

/// The ports of a relay.
struct Ports {
    relay: u16,
    directory: u16,
}

/// The directory of the network, with keys and configurations, and its programs.
///
/// # Errors
/// When a file cannot be written, or keys cannot be made.
pub(super) fn prepare(origin: OriginPorts) -> Result<(Site, Vec<Member>)> {
    let site = Site::prepare(Peer::Tor.name(), &[], origin, &[])?;
    let tor = Peer::Tor.program_at("shoalway".as_ref());
    let (mut ports, mut authorities) = (Vec::new(), String::new());
    for (number, name, _) in RELAYS {
        let own = Ports { relay: free_port()?, directory: free_port()? };
        authorities.push_str(&authority(&tor, &site.dir.join(name), number, &own)?);
        ports.push(own);
    }
    site.write(&[("overlay-tor-common.conf", "common")], &[("AUTHORITIES", authorities)])?;
    let common = ("TOR_COMMON", fs::read_to_string(site.dir.join("common"))?);
    let tor = tor.display().to_string();
    let member = |name, file: &str, after| Member {
        name,
        after,
        command: vec![tor.clone(), "-f".to_owned(), site.dir.join(file).display().to_string()],
    };
    let mut members = Vec::new();
    for ((number, name, file), ports) in RELAYS.into_iter().zip(ports) {
        let words = [
            common.clone(),
            ("NUMBER", number.to_owned()),
            ("OR_PORT", ports.relay.to_string()),
            ("DIR_PORT", ports.directory.to_string()),
        ];
        site.write(&[("overlay-tor-relay.conf", file)], &words)?;
        members.push(member(name, file, 0));
    }
    site.write(&[("overlay-tor-client.conf", "client.conf")], &[common])?;
    members.push(member("client", "client.conf", UNTIL_CONSENSUS));
    Ok((site, members))
}

/// Makes the keys of the relay that keeps its data in `dir`; the line by which everybody knows it as an authority.
fn authority(tor: &Path, dir: &Path, number: &str, ports: &Ports) -> Result<String> {
    let keys = dir.join("keys");
    fs::create_dir_all(&keys)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    fs::set_permissions(&keys, Permissions::from_mode(0o700))?;
    let place = format!("127.0.0.1:{}", ports.directory);
    let identity = identity(&keys, &place)?;
    let relay = ports.relay.to_string();
    let nobody = format!("nobody v3ident={identity} 127.0.0.1:1 {}", "F".repeat(40));
    let mut command = Command::new(tor);
    // Its file is a regular one, or it does not start.
    let empty = dir.join("empty");
    fs::write(&empty, "")?;
    command.args(["--list-fingerprint", "--quiet", "--TestingTorNetwork", "1", "-f"]).arg(empty);
    command.args(["--DirAuthority", &nobody, "--Nickname", &format!("bench{number}")]);
    command.args(["--ORPort", &relay, "--Address", "127.0.0.1", "--DataDirectory"]).arg(dir);
    let output = command.stdin(Stdio::null()).output().context("tor")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().and_then(|line| line.split_once(' ')).map(|(_, digits)| digits);
    let fingerprint = line.map(|digits| digits.replace(' ', "")).filter(|digits| digits.len() == 40);
    let fingerprint = fingerprint.with_context(|| format!("tor made no key: {text}"))?;
    Ok(format!("DirAuthority bench{number} orport={relay} no-v2 v3ident={identity} {place} {fingerprint}\n"))
}

/// Makes an authority's key and certificate; the key's fingerprint.
fn identity(keys: &Path, place: &str) -> Result<String> {
    let program = machine::find_program("tor-gencert").context("tor-gencert is missing")?;
    let mut command = Command::new(program);
    command.args(["--create-identity-key", "-m", "12", "-a", place, "--passphrase-fd", "0"]);
    let certificate = keys.join("authority_certificate");
    command.arg("-i").arg(keys.join("authority_identity_key"));
    command.arg("-s").arg(keys.join("authority_signing_key")).arg("-c").arg(&certificate);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().context("tor-gencert")?;
    child.stdin.take().context("its input")?.write_all(b"bench\n")?;
    ensure!(child.wait()?.success(), "tor-gencert failed");
    let text = fs::read_to_string(&certificate)?;
    let line = text.lines().find_map(|line| line.strip_prefix("fingerprint "));
    line.map(str::to_owned).context("a certificate without a fingerprint")
}
