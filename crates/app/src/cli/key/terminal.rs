//! The terminal: what is said there goes into no pipe and no file, and passwords are typed unseen.

use super::error::KeyError;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use zeroize::Zeroizing;

/// The longest answer, in bytes.
const LONGEST: usize = 4096;
const END_OF_TEXT: u8 = 0x03;
const END_OF_TRANSMISSION: u8 = 0x04;
const BACKSPACE: u8 = 0x08;
const LINE_KILL: u8 = 0x15;
const DELETE: u8 = 0x7f;

/// A person at a terminal.
pub(super) struct Terminal(File);

impl Terminal {
    /// The terminal, if standard input is one: a script that pipes something in is no person to ask.
    pub(super) fn of_person() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        OpenOptions::new().read(true).write(true).open("/dev/tty").ok().map(Self)
    }

    pub(super) fn say(&mut self, text: &str) -> Result<(), KeyError> {
        self.0.write_all(text.as_bytes()).and_then(|()| self.0.flush()).map_err(failed)
    }

    /// Asks for a line that may be seen.
    pub(super) fn ask(&mut self, prompt: &str) -> Result<Zeroizing<String>, KeyError> {
        self.say(prompt)?;
        let mut line = Line::default();
        loop {
            match self.next_byte()? {
                None if line.0.is_empty() => return Err(KeyError::Cancelled),
                None | Some(b'\n') => return line.finish(),
                Some(byte) => line.push(byte),
            }
        }
    }

    /// Asks for a line that is not shown. Ctrl-C ends the question, and the terminal shows letters again.
    pub(super) fn ask_hidden(&mut self, prompt: &str) -> Result<Zeroizing<String>, KeyError> {
        // Before the prompt: who reads it may type at once.
        let hidden = Hidden::new(&self.0).map_err(failed)?;
        self.say(prompt)?;
        let mut line = Line::default();
        let typed = loop {
            match self.next_byte()? {
                Some(b'\n' | b'\r') => break Ok(()),
                Some(END_OF_TEXT) | None => break Err(KeyError::Cancelled),
                Some(END_OF_TRANSMISSION) if line.0.is_empty() => break Err(KeyError::Cancelled),
                Some(END_OF_TRANSMISSION) => break Ok(()),
                Some(BACKSPACE | DELETE) => line.pop(),
                Some(LINE_KILL) => line.clear(),
                Some(byte) => line.push(byte),
            }
        };
        drop(hidden);
        self.say("\n")?;
        typed.and_then(|()| line.finish())
    }

    fn next_byte(&mut self) -> Result<Option<u8>, KeyError> {
        let mut byte = [0];
        loop {
            match self.0.read(&mut byte) {
                Ok(0) => return Ok(None),
                Ok(_) => {
                    let [byte] = byte;
                    return Ok(Some(byte));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

fn failed(error: io::Error) -> KeyError {
    KeyError::file("use", "/dev/tty".as_ref())(error)
}

/// A line while it is typed. It never moves in memory, so nothing of it is left behind.
struct Line(Zeroizing<Vec<u8>>);

impl Default for Line {
    fn default() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(LONGEST)))
    }
}

impl Line {
    fn push(&mut self, byte: u8) {
        if self.0.len() < LONGEST {
            self.0.push(byte);
        }
    }

    /// Takes back one character, which may have several bytes.
    fn pop(&mut self) {
        while let Some(byte) = self.0.pop() {
            if byte & 0xc0 != 0x80 {
                break;
            }
        }
    }

    fn clear(&mut self) {
        while self.0.pop().is_some() {}
    }

    fn finish(self) -> Result<Zeroizing<String>, KeyError> {
        let text = std::str::from_utf8(&self.0).map_err(|_not_text| KeyError::Cancelled)?;
        Ok(Zeroizing::new(text.trim_end_matches('\r').to_owned()))
    }
}

/// While it lives, nothing that is typed is shown and no key ends the program.
struct Hidden {
    terminal: File,
    before: Termios,
}

impl Hidden {
    fn new(terminal: &File) -> io::Result<Self> {
        let terminal = terminal.try_clone()?;
        let before = tcgetattr(&terminal)?;
        let mut now = before.clone();
        now.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(&terminal, OptionalActions::Flush, &now)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs no repair.
        tcsetattr(&self.terminal, OptionalActions::Drain, &self.before).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_back_whole_characters() {
        let mut line = Line::default();
        "aß€".bytes().for_each(|byte| line.push(byte));
        line.pop();
        line.pop();
        line.push(b'b');
        assert_eq!(*line.finish().unwrap(), "ab");
        let mut line = Line::default();
        line.pop();
        (0..2 * LONGEST).for_each(|_| line.push(b'x'));
        assert_eq!(line.0.len(), LONGEST);
        line.clear();
        assert_eq!(*line.finish().unwrap(), "");
    }
}
