//! Work on several threads whose results come in order.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Does `work` for each item, on so many threads, and hands what came of them to `take` on this one, in the items'
/// order. A panic of a thread is a panic here.
///
/// # Errors
/// The first of `take`; what has not begun by then is left out.
///
/// ```
/// use std::num::NonZero;
/// let threads = NonZero::new(4).expect("not zero");
/// let mut squares = Vec::new();
/// twinpath::parallel::in_order(&[3, 1, 2], threads, |n| n * n, |_, square| {
///     squares.push(square);
///     Ok::<(), ()>(())
/// })
/// .expect("nothing fails");
/// assert_eq!(squares, [9, 1, 4]);
/// ```
pub fn in_order<'a, T, R, E>(
    items: &'a [T],
    threads: NonZero<usize>,
    work: impl Fn(&'a T) -> R + Sync,
    mut take: impl FnMut(&'a T, R) -> Result<(), E>,
) -> Result<(), E>
where
    T: Sync,
    R: Send,
{
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let run = |sender: mpsc::Sender<(usize, R)>| {
        // Nobody receives any more once `take` has failed.
        while let Some((place, item)) = claim(items, &next)
            && sender.send((place, work(item))).is_ok()
        {}
    };
    thread::scope(|scope| {
        for _ in 0..threads.get().min(items.len()) {
            let (run, sender) = (&run, sender.clone());
            scope.spawn(move || run(sender));
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut waiting = items.iter().enumerate();
        let mut awaited = waiting.next();
        for (place, result) in receiver {
            early.insert(place, result);
            while let Some((place, item)) = awaited
                && let Some(result) = early.remove(&place)
            {
                take(item, result)?;
                awaited = waiting.next();
            }
        }
        Ok(())
    })
}

/// The next item that no thread has taken.
fn claim<'a, T>(items: &'a [T], next: &AtomicUsize) -> Option<(usize, &'a T)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    items.get(place).map(|item| (place, item))
}
