//! Whose what was observed is, of several frames that were sent without waiting between them.

use std::collections::BTreeSet;

use super::journey::{Frame, Observations, Seen};

/// What is known of one frame and its copies.
struct Carrier {
    /// What it was like, the latest last.
    forms: Vec<Vec<u8>>,
    /// Where it has been, and as which of the forms.
    met: BTreeSet<(String, usize)>,
    observations: Observations,
}

/// The bytes of a packet that is none of those that were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger(pub Vec<u8>);

/// Shares out what was observed among the frames that were sent, by bytes, and among alike ones by order.
pub fn share(frames: &[Frame], all: Observations) -> Result<Vec<Observations>, Stranger> {
    let mut carriers: Vec<Carrier> = frames
        .iter()
        .map(|frame| Carrier {
            forms: vec![frame.bytes.clone()],
            met: BTreeSet::new(),
            observations: Observations::default(),
        })
        .collect();
    for seen in all.seen {
        let (place, found, left) = match &seen {
            Seen::Returned(returned) => (
                format!("{} {} {}", returned.node, returned.hook, returned.filter),
                &returned.found,
                Some(returned.on_wire()),
            ),
            Seen::Arrived(frame) => (
                format!("{} {}", frame.node, frame.device),
                &frame.bytes,
                None,
            ),
            Seen::TakenIn(frame) => (
                format!("{} {} in", frame.node, frame.device),
                &frame.bytes,
                None,
            ),
        };
        let carrier = whose(&mut carriers, place, found)?;
        if let Some(left) = left
            && carrier.forms.last() != Some(&left)
        {
            carrier.forms.push(left);
        }
        carrier.observations.seen.push(seen);
    }
    for frame in all.taken_in {
        let place = format!("{} {} in", frame.node, frame.device);
        let carrier = whose(&mut carriers, place, &frame.bytes)?;
        carrier.observations.taken_in.push(frame);
    }
    Ok(carriers
        .into_iter()
        .map(|carrier| carrier.observations)
        .collect())
}

/// The first frame that was like this, best when it was last, and has not been there so; if all have, the last of them.
fn whose<'a>(
    carriers: &'a mut [Carrier],
    place: String,
    bytes: &[u8],
) -> Result<&'a mut Carrier, Stranger> {
    let form = |carrier: &Carrier| carrier.forms.iter().rposition(|form| form == bytes);
    let is_new = |carrier: &Carrier, form: usize| !carrier.met.contains(&(place.clone(), form));
    let latest = carriers.iter().position(|carrier| {
        form(carrier).is_some_and(|form| form + 1 == carrier.forms.len() && is_new(carrier, form))
    });
    let any = || {
        let mut carriers = carriers.iter();
        carriers.position(|carrier| form(carrier).is_some_and(|form| is_new(carrier, form)))
    };
    let again = || carriers.iter().rposition(|carrier| form(carrier).is_some());
    let found = latest.or_else(any).or_else(again);
    let Some(carrier) = found.and_then(|found| carriers.get_mut(found)) else {
        return Err(Stranger(bytes.to_vec()));
    };
    if let Some(form) = form(carrier) {
        carrier.met.insert((place, form));
    }
    Ok(carrier)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{DeviceName, NodeName};

    fn frame(device: &str, bytes: &[u8]) -> Frame {
        Frame {
            node: NodeName::only(),
            device: DeviceName::new(device),
            bytes: bytes.to_vec(),
            tagged: false,
        }
    }

    #[test]
    fn alike_frames_share_in_order_and_strangers_are_named() {
        let sent = [frame("a", b"one"), frame("a", b"two"), frame("a", b"one")];
        let mut all = Observations::default();
        for bytes in [&b"two"[..], b"one", b"one"] {
            all.add(Seen::TakenIn(frame("a", bytes)));
        }
        all.add(Seen::Arrived(frame("b", b"one")));
        let shares = share(&sent, all.clone()).unwrap();
        let counts = shares
            .iter()
            .map(|share| (share.taken_in.len(), share.seen.len()));
        assert_eq!(counts.collect::<Vec<_>>(), [(1, 1), (1, 0), (1, 0)]);
        all.add(Seen::Arrived(frame("b", b"three")));
        assert_eq!(share(&sent, all), Err(Stranger(b"three".to_vec())));
    }
}
