//! "Did you mean ...?"

/// The one of the known names that was probably meant, if any is near enough.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= candidate.len().max(name.len()) / 3 + 1 && *distance < name.len()
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Names as a sentence lists them: `a`, `b` or `c`.
pub fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => "nothing".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        for (name, meant) in [
            ("et0", Some("eth0")),
            ("eht0", Some("eth0")),
            ("lxc_1", Some("lxc1")),
            ("wlan", None),
            ("x", None),
        ] {
            assert_eq!(nearest(name, ["eth0", "lxc1"]), meant, "{name}");
        }
    }

    #[test]
    fn a_list_reads_as_a_sentence() {
        assert_eq!(list([]), "nothing");
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
