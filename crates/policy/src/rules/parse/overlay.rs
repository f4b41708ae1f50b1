//! Reads which exits of the overlay a rule asks for: `overlay:exit=0x...,0x...`, `overlay:country=CH,IS`.
//!
//! Not here: the verb without a wish (`parse`), which exits there are (`overlay`).

use super::Reader;
use super::words::Word;
use crate::decision::{OverlayId, OverlayWish, Verb};
use crate::rules::RuleErrorKind;

const HELP: &str = "write `overlay`, `overlay:exit=0x...` or `overlay:country=CH,IS`";

impl Reader<'_> {
    /// The verb, from the whole word.
    pub(super) fn overlay(&mut self, word: Word<'_>) -> Option<Verb> {
        let asked = word.strip_prefix("overlay:")?;
        let mut wish = OverlayWish::default();
        let understood = if let Some(values) = asked.strip_prefix("exit=") {
            values.values().all(|value| self.exit_address(value, word, &mut wish))
        } else if let Some(values) = asked.strip_prefix("country=") {
            values.values().all(|value| self.country(value, word, &mut wish))
        } else {
            let message = format!("`{}` is nothing to ask of the overlay", asked.text);
            self.error(asked.span_or(word), RuleErrorKind::BadValue, message, HELP);
            false
        };
        if !understood {
            return None;
        }
        Some(Verb::Overlay(self.wish(wish, word)?))
    }

    fn exit_address(&mut self, value: Word<'_>, word: Word<'_>, wish: &mut OverlayWish) -> bool {
        match value.text.parse() {
            Ok(address) => {
                wish.exits.push(address);
                true
            }
            Err(error) => {
                let help = "an exit is named by its wallet's address, as `shoalway node status` prints it";
                self.error(value.span_or(word), RuleErrorKind::BadValue, format!("{error}"), help);
                false
            }
        }
    }

    fn country(&mut self, value: Word<'_>, word: Word<'_>, wish: &mut OverlayWish) -> bool {
        let letters = <[u8; 2]>::try_from(value.text.as_bytes());
        match letters {
            Ok(letters) if letters.iter().all(u8::is_ascii_uppercase) => {
                wish.countries.push(letters);
                true
            }
            Ok(_) | Err(_) => {
                let message = format!("`{}` is no country", value.text);
                let help = "a country is two capital letters, as in `overlay:country=CH,IS`";
                self.error(value.span_or(word), RuleErrorKind::BadValue, message, help);
                false
            }
        }
    }

    /// The number of a wish; rules that ask for the same share one.
    fn wish(&mut self, wish: OverlayWish, word: Word<'_>) -> Option<OverlayId> {
        let index = match self.wishes.iter().position(|known| *known == wish) {
            Some(index) => index,
            None => {
                self.wishes.push(wish);
                self.wishes.len() - 1
            }
        };
        let id = u16::try_from(index + 1).ok();
        if id.is_none() {
            let help = "join rules that ask for the same exits";
            self.error(word.span(), RuleErrorKind::BadValue, "there are too many wishes for exits", help);
        }
        id.map(OverlayId)
    }
}
