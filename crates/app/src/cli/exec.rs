//! `exec -- CMD`: one program with the proxy variables set, in place of this one.

use super::environment::{NO_PORT, entrance, is_cgi, variables};
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
    let Some(entrance) = entrance(&settings) else {
        output.failure(NO_PORT, "start the proxy first, in another terminal: shoalway")?;
        return Ok(Exit::Away);
    };
    let Some((program, arguments)) = args.command.split_first() else { return Ok(Exit::Usage) };
    if !listening::anyone(entrance.addr) {
        let message = format!("nothing listens on {}, so {} was not run", entrance.addr, program.display());
        output.failure(&message, "start the proxy first, in another terminal: shoalway")?;
        return Ok(Exit::Away);
    }
    let error =
        Command::new(program).args(arguments).envs(variables(entrance, is_cgi(&request.surroundings))).exec();
    output.failure(&format!("cannot run {}: {error}", program.display()), "")?;
    Ok(if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::CannotRun })
}
