//! Two records of the same kind: events, map values.

use crate::decode::{Fields, hex};

use super::difference::Values;

/// How many runs of bytes are told apart before the rest is summed up.
const RUNS: usize = 4;

/// In what two records differ: by fields, or by bytes where the fields do not tell.
pub(super) fn compare(left: (&Fields, &[u8]), right: (&Fields, &[u8])) -> Vec<Values> {
    if left.1 == right.1 {
        return Vec::new();
    }
    let fields = fields(left.0, right.0);
    if fields.is_empty() {
        bytes(left.1, right.1)
    } else {
        fields
    }
}

/// Fields that are not the same. The n-th field of a name is compared to the n-th of the other side.
pub(super) fn fields(left: &Fields, right: &Fields) -> Vec<Values> {
    let (left, right) = (numbered(left), numbered(right));
    let find = |fields: &[(&str, usize, &String)], name: &str, number: usize| {
        let mut same = fields
            .iter()
            .filter(|field| field.0 == name && field.1 == number);
        same.next().map(|field| field.2.clone())
    };
    let added = right
        .iter()
        .filter(|field| find(&left, field.0, field.1).is_none());
    left.iter()
        .chain(added)
        .map(|(name, number, _)| Values {
            name: (if name.is_empty() { "value" } else { name }).to_owned(),
            left: find(&left, name, *number),
            right: find(&right, name, *number),
        })
        .filter(|values| values.left != values.right)
        .collect()
}

fn numbered(fields: &Fields) -> Vec<(&str, usize, &String)> {
    fields
        .iter()
        .enumerate()
        .map(|(index, (name, value))| {
            let before = fields
                .iter()
                .take(index)
                .filter(|(other, _)| other == name)
                .count();
            (name.as_str(), before, value)
        })
        .collect()
}

/// Runs of bytes that are not the same.
fn bytes(left: &[u8], right: &[u8]) -> Vec<Values> {
    let mut values = Vec::new();
    values.extend(Values::unequal("length", left.len(), right.len()));
    let differs = |index: &usize| left.get(*index) != right.get(*index);
    let end = left.len().max(right.len());
    let mut at = 0;
    while let Some(start) = (at..end).find(differs) {
        let stop = (start..end).find(|index| !differs(index)).unwrap_or(end);
        if values.len() == RUNS {
            let rest = |side: &[u8]| hex(side.get(start..).unwrap_or_default());
            values.extend(Values::unequal(
                &format!("bytes {start}.."),
                rest(left),
                rest(right),
            ));
            break;
        }
        let part = |side: &[u8]| side.get(start..stop.min(side.len())).map(hex);
        values.push(Values {
            name: format!("bytes {start}..{stop}"),
            left: part(left),
            right: part(right),
        });
        at = stop;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(fields: &[(&str, &str)]) -> Fields {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn told(left: (&Fields, &[u8]), right: (&Fields, &[u8])) -> Vec<String> {
        let side = |side: Option<String>| side.unwrap_or("-".to_owned());
        compare(left, right)
            .into_iter()
            .map(|values| {
                format!(
                    "{} {} {}",
                    values.name,
                    side(values.left),
                    side(values.right)
                )
            })
            .collect()
    }

    #[test]
    fn fields_tell_what_differs() {
        let left = fields(&[("a", "1"), ("", "x"), ("", "y")]);
        let right = fields(&[("a", "1"), ("", "x"), ("", "z"), ("b", "2")]);
        assert_eq!(told((&left, &[0]), (&right, &[1])), ["value y z", "b - 2"]);
        assert!(told((&left, &[0]), (&right, &[0])).is_empty());
    }

    #[test]
    fn what_fields_do_not_tell_is_told_by_bytes() {
        let same = fields(&[("a", "1")]);
        let told = |left: &[u8], right: &[u8]| told((&same, left), (&same, right));
        assert_eq!(told(&[1, 2, 3, 4], &[1, 9, 8, 4]), ["bytes 1..3 0203 0908"]);
        assert_eq!(told(&[1, 2], &[1]), ["length 2 1", "bytes 1..2 02 "]);
        assert_eq!(
            told(&[1, 0, 1, 0, 1, 0, 1, 0, 1], &[2, 0, 2, 0, 2, 0, 2, 0, 2]),
            [
                "bytes 0..1 01 02",
                "bytes 2..3 01 02",
                "bytes 4..5 01 02",
                "bytes 6..7 01 02",
                "bytes 8.. 01 02"
            ]
        );
    }
}
