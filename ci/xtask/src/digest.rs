//! `SOURCES.sha256`: what the committed objects were made from. The format is that of `sha256sum`,
//! paths are relative to the repository's root, and a comment names the compiler.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::Error;
use crate::io_error::IoError;

const TOOLCHAIN: &str = "# built with ";

/// The digests of a set of files, and the compiler that made the objects among them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Digests {
    pub toolchain: String,
    files: BTreeMap<String, String>,
}

impl Digests {
    /// The digests of the files that an object is made from, as they are now.
    pub fn of_sources(root: &Path) -> Result<Self, Error> {
        let mut paths = Vec::new();
        for folder in ["datapath/abi/src", "datapath/ebpf/src"] {
            walk(&root.join(folder), &mut paths)?;
        }
        for file in ["Cargo.toml", "Cargo.lock", "ebpf/Cargo.toml"] {
            paths.push(root.join("datapath").join(file));
        }
        let mut digests = Self::default();
        for path in paths {
            digests.add(root, &path)?;
        }
        Ok(digests)
    }

    /// Adds a file.
    pub fn add(&mut self, root: &Path, path: &Path) -> Result<(), Error> {
        let bytes = fs::read(path).map_err(IoError::on("read", path))?;
        let name = path.strip_prefix(root).unwrap_or(path);
        self.files
            .insert(name.to_string_lossy().into_owned(), hex(&bytes));
        Ok(())
    }

    /// Parses what [`Digests::render`] writes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut digests = Self::default();
        for (index, line) in text.lines().enumerate() {
            if let Some(toolchain) = line.strip_prefix(TOOLCHAIN) {
                toolchain.clone_into(&mut digests.toolchain);
            } else if !line.starts_with('#') && !line.is_empty() {
                let (digest, path) = line
                    .split_once("  ")
                    .filter(|(digest, path)| digest.len() == 64 && !path.is_empty())
                    .ok_or(Error::BadDigest { line: index + 1 })?;
                digests.files.insert(path.to_owned(), digest.to_owned());
            }
        }
        Ok(digests)
    }

    /// The text of `SOURCES.sha256`.
    pub fn render(&self) -> String {
        let mut text = format!(
            "# What the objects in this folder were made from. Check: sha256sum --check, at the root.\n\
             {TOOLCHAIN}{}\n",
            self.toolchain
        );
        for (path, digest) in &self.files {
            let _ = writeln!(text, "{digest}  {path}");
        }
        text
    }

    /// A line for each file that differs in `now`; empty if none does.
    pub fn changes(&self, now: &Self) -> String {
        let mut text = String::new();
        for (path, digest) in &self.files {
            match now.files.get(path) {
                None => drop(writeln!(text, "  {path} is gone")),
                Some(new) if new != digest => drop(writeln!(text, "  {path} has changed")),
                Some(_) => {}
            }
        }
        for path in now
            .files
            .keys()
            .filter(|path| !self.files.contains_key(*path))
        {
            let _ = writeln!(text, "  {path} is new");
        }
        text
    }
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), Error> {
    for entry in fs::read_dir(folder).map_err(IoError::on("list", folder))? {
        let path = entry.map_err(IoError::on("list", folder))?.path();
        if path.is_dir() {
            walk(&path, paths)?;
        } else {
            paths.push(path);
        }
    }
    Ok(())
}

/// The SHA-256 of bytes, in hex digits.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(files: &[(&str, char)]) -> Digests {
        Digests {
            toolchain: "a compiler".to_owned(),
            files: files
                .iter()
                .map(|(path, digit)| ((*path).to_owned(), digit.to_string().repeat(64)))
                .collect(),
        }
    }

    #[test]
    fn text_round_trips() {
        let digests = digests(&[("a/b.rs", '1'), ("c d.rs", 'f')]);
        assert_eq!(Digests::parse(&digests.render()).unwrap(), digests);
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = Digests::parse("# comment\nnot a digest\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn changes_are_named() {
        let old = digests(&[("gone", '1'), ("same", '2'), ("touched", '3')]);
        let new = digests(&[("same", '2'), ("touched", '4'), ("added", '5')]);
        assert_eq!(
            old.changes(&new),
            "  gone is gone\n  touched has changed\n  added is new\n"
        );
        assert_eq!(old.changes(&old), "");
    }

    #[test]
    fn sha256_is_the_standard_one() {
        assert!(hex(b"abc").starts_with("ba7816bf8f01cfea414140de5dae2223"));
    }
}
