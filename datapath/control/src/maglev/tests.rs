use proptest::prelude::*;

use super::*;

fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|host| format!("10.0.1.{host}:8080/tcp"))
        .collect()
}

fn table(names: &[String], size: TableSize) -> Vec<usize> {
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    populate(&names, size)
}

fn shares(table: &[usize], backends: usize) -> Vec<usize> {
    let mut shares = vec![0; backends];
    for backend in table {
        shares[*backend] += 1;
    }
    shares
}

#[test]
fn sizes_are_prime() {
    for size in TableSize::ALL {
        let slots = size.slots();
        let divisor = (2..)
            .take_while(|n| n * n <= slots)
            .find(|n| slots % n == 0);
        assert_eq!(divisor, None, "{slots}");
        assert_eq!(TableSize::new(slots), Some(size));
    }
    assert_eq!(TableSize::new(1024), None);
}

#[test]
fn every_backend_has_the_same_share() {
    for size in TableSize::ALL {
        for backends in [1, 2, 3, 7, 100, 251] {
            let table = table(&names(backends), size);
            assert_eq!(table.len(), size.slots());
            let shares = shares(&table, backends);
            let (least, most) = (shares.iter().min(), shares.iter().max());
            assert!(
                most.unwrap() - least.unwrap() <= 1,
                "{size:?}, {backends} backends"
            );
        }
    }
}

/// The paper's figure 12: a small part of the slots changes hands beyond those that must.
#[test]
fn few_slots_change_hands_when_a_backend_goes() {
    let size = TableSize::new(65521).unwrap();
    let all = names(50);
    let before = table(&all, size);
    for gone in [0, 17, 49] {
        let mut rest = all.clone();
        rest.remove(gone);
        let moved = table(&rest, size)
            .into_iter()
            .map(|backend| backend + usize::from(backend >= gone))
            .zip(&before)
            .filter(|(now, before)| **before != gone && now != *before)
            .count();
        assert!(moved * 100 < size.slots() * 5, "{moved} slots moved");
    }
}

#[test]
fn more_backends_than_slots_leave_some_without() {
    let size = TableSize::new(251).unwrap();
    let table = table(&names(255), size);
    assert_eq!(table.len(), 251);
    let mut served = table;
    served.sort_unstable();
    served.dedup();
    assert_eq!(served.len(), 251);
}

/// Frozen: a table that changes sends established flows elsewhere.
#[test]
fn the_table_is_what_it_was() {
    let table = table(&names(3), TableSize::new(251).unwrap());
    assert_eq!(table[..16], FROZEN);
}

const FROZEN: [usize; 16] = [1, 0, 2, 2, 0, 1, 1, 1, 0, 2, 1, 0, 0, 0, 2, 2];

proptest! {
    #[test]
    fn order_does_not_matter(order in Just(names(9)).prop_shuffle()) {
        let size = TableSize::DATAPATH;
        let sorted = names(9);
        let shuffled: Vec<_> = table(&order, size).into_iter().map(|i| &order[i]).collect();
        let straight: Vec<_> = table(&sorted, size).into_iter().map(|i| &sorted[i]).collect();
        prop_assert_eq!(shuffled, straight);
    }
}
