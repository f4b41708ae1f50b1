//! `exec -- CMD`: one program with the proxy variables set, in place of this one.

use super::environment::{is_cgi, reachable, variables};
use super::{ExecArgs, Exit, Output, listening, loaded};
use crate::config::Request;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Becomes the program; comes back only when that is not possible.
pub(super) fn exec(args: &ExecArgs, request: &Request, output: &Output) -> io::Result<Exit> {
    let settings = match loaded(request, output)? {
        Ok(loaded) => loaded.settings,
        Err(exit) => return Ok(exit),
    };
    let Some((addr, listener)) = reachable(&settings) else {
        output.failure(
            "the proxy's port is chosen at its start",
            "give it one: -o proxy.listen=127.0.0.1:3128",
        )?;
        return Ok(Exit::Failed);
    };
    let Some((program, arguments)) = args.command.split_first() else { return Ok(Exit::Usage) };
    if !listening::anyone(listener.addr) {
        let message = format!("nothing listens on {addr}, so {} was not run", program.display());
        output.failure(&message, "start the proxy first, in another terminal: shoalway")?;
        return Ok(Exit::Away);
    }
    let error = Command::new(program)
        .args(arguments)
        .envs(variables(addr, listener, is_cgi(&request.surroundings)))
        .exec();
    output.failure(&format!("cannot run {}: {error}", program.display()), "")?;
    Ok(if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::CannotRun })
}
