//! Which of the known words somebody may have meant.

/// The known word that a mistyped one is nearest to, if any is near enough to be meant.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = |candidate: &str| 1 + candidate.chars().count().max(word.chars().count()) / 3;
    // A word that was begun, or goes on, is meant whatever its length.
    let extends = |one: &str, other: &str| other.len() > 2 && one.starts_with(other);
    let steps = |candidate: &str| match extends(candidate, word) || extends(word, candidate) {
        true => 1,
        false => distance(word, candidate),
    };
    known
        .map(|candidate| (steps(candidate), candidate))
        .filter(|(steps, candidate)| *steps <= near(candidate))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

/// How many characters must be put in, left out, replaced or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    // The rows of the table for the last two characters and this one, each for every length of `to`.
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut previous = None;
    for (row, c) in from.chars().enumerate() {
        let mut this = vec![row + 1];
        for (column, &other) in to.iter().enumerate() {
            let replaced = last[column] + usize::from(c != other);
            let mut steps = replaced.min(last[column + 1] + 1).min(this[column] + 1);
            if column > 0 && previous == Some(other) && to[column - 1] == c {
                steps = steps.min(before[column - 1] + 1);
            }
            this.push(steps);
        }
        before = std::mem::replace(&mut last, this);
        previous = Some(c);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_one_step() {
        for slip in ["evry", "everyy", "evary", "evrey"] {
            assert_eq!(distance(slip, "every"), 1, "{slip}");
        }
        assert_eq!((distance("", "abc"), distance("abc", ""), distance("same", "same")), (3, 3, 0));
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn what_is_too_far_is_not_suggested() {
        let known = || ["every", "grace", "feeds_max", "file"].into_iter();
        assert_eq!(nearest("feed_max", known()), Some("feeds_max"));
        assert_eq!(nearest("fiel", known()), Some("file"));
        assert_eq!(
            (nearest("feeds", known()), nearest("grace_period", known())),
            (Some("feeds_max"), Some("grace"))
        );
        assert_eq!(nearest("colour", known()), None);
        assert_eq!(nearest("x", known()), None);
    }
}
