//! How much of an archive is read once it is out of its compression: what is small on the way may become as large as it likes.

use std::{
    cell::Cell,
    io::{self, Read},
};

/// What may still be read: of all, and of the part that is being read.
#[derive(Debug)]
pub(super) struct Budget {
    all: Cell<u64>,
    part: Cell<u64>,
    is_spent: Cell<bool>,
}

impl Budget {
    /// Of so many bytes. Nothing is read before a part begins.
    pub(super) fn new(all: u64) -> Self {
        Self {
            all: Cell::new(all),
            part: Cell::new(0),
            is_spent: Cell::new(false),
        }
    }

    /// Begins a part, which has at most so many bytes.
    pub(super) fn begin(&self, bytes: u64) {
        self.part.set(bytes);
    }

    /// Whether somebody wanted more.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    fn left(&self) -> u64 {
        self.all.get().min(self.part.get())
    }

    fn spend(&self, bytes: u64) {
        self.all.set(self.all.get().saturating_sub(bytes));
        self.part.set(self.part.get().saturating_sub(bytes));
    }
}

/// A reader that fails where the budget is spent.
#[derive(Debug)]
pub(super) struct Budgeted<'a, R> {
    reader: R,
    budget: &'a Budget,
}

impl<'a, R> Budgeted<'a, R> {
    /// Reads from `reader` what the budget allows.
    pub(super) fn new(reader: R, budget: &'a Budget) -> Self {
        Self { reader, budget }
    }
}

impl<R: Read> Read for Budgeted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.budget.left()).unwrap_or(usize::MAX);
        let most = left.min(buffer.len());
        if most == 0 && !buffer.is_empty() {
            self.budget.is_spent.set(true);
            return Err(io::Error::other("there is more than is read"));
        }
        let read = self.reader.read(&mut buffer[..most])?;
        self.budget.spend(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_and_not_all_of_them_are_read_beyond_the_budget() {
        let budget = Budget::new(10);
        let mut reader = Budgeted::new(io::repeat(0), &budget);
        let mut four = [0; 4];
        for _ in 0..2 {
            budget.begin(4);
            reader.read_exact(&mut four).expect("within the part");
            assert!(!budget.is_spent());
        }
        reader.read_exact(&mut four[..1]).expect_err("the part is over");
        assert!(budget.is_spent());
        budget.begin(4);
        reader.read_exact(&mut four).expect_err("only two are left of all");
    }
}
