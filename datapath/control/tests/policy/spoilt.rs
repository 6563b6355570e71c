//! Random clusters whose manifests have one mistake somewhere: they are read all the same, or refused with a place.

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::TestRunner;
use twinpath_control::kubernetes::{ManifestError, Objects};
use twinpath_control::population::Population;

use crate::generate::manifests;

const CLUSTERS: u32 = 300;

/// What may stand where something else should.
const PIECES: [&str; 16] = [
    "",
    "-1",
    "65536",
    "1e99",
    "null",
    "true",
    "[]",
    "{}",
    "[[[]]]",
    "\"",
    "{",
    "]",
    ",",
    "10.0.0.0/33",
    "::/129",
    "\u{fffd}",
];

#[test]
fn spoilt_manifests_are_refused_in_their_place() {
    let mut runner = TestRunner::new(crate::random::config(CLUSTERS));
    let spoilt = (manifests(), any::<Index>(), select(&PIECES));
    let result = runner.run(&spoilt, |(manifests, place, piece)| {
        let documents: Vec<_> = manifests.iter().map(ToString::to_string).collect();
        let text = spoil(&documents.join("\n---\n"), place, piece);
        let Err(error) = read(&text) else {
            return Ok(());
        };
        let lines = u64::try_from(text.lines().count()).expect("few lines");
        prop_assert!((1..=lines).contains(&error.at.line), "{error}\n{text}");
        prop_assert!(error.to_string().starts_with("random.yaml:"), "{error}");
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("seed {}: {error}", crate::random::seed()));
}

fn read(text: &str) -> Result<Population, ManifestError> {
    let mut objects = Objects::default();
    objects.read(Path::new("random.yaml"), text)?;
    Population::new(&objects)
}

/// Puts a piece in place of a word or of a sign between words.
fn spoil(text: &str, place: Index, piece: &str) -> String {
    let is_word = |letter: char| letter.is_alphanumeric() || ".:/-".contains(letter);
    let mut tokens: Vec<String> = Vec::new();
    let mut in_word = false;
    for letter in text.chars() {
        match tokens.last_mut() {
            Some(token) if in_word && is_word(letter) => token.push(letter),
            _ => tokens.push(letter.into()),
        }
        in_word = is_word(letter);
    }
    let at = place.index(tokens.len());
    piece.clone_into(&mut tokens[at]);
    tokens.concat()
}
