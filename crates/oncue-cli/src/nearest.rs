//! Suggests a known word for a mistyped one.

use strsim::osa_distance;

/// The known word that is nearest to a mistyped one, if one is near enough to be meant.
pub(crate) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let near = |candidate: &str| 1 + candidate.chars().count().max(word.chars().count()) / 3;
    // A beginning of a known word, or a known word with more behind it, is always near.
    let extends = |one: &str, other: &str| other.len() > 2 && one.starts_with(other);
    let steps = |candidate: &str| match extends(candidate, word) || extends(word, candidate) {
        true => 1,
        false => osa_distance(word, candidate),
    };
    known
        .map(|candidate| (steps(candidate), candidate))
        .filter(|(steps, candidate)| *steps <= near(candidate))
        .min_by_key(|(steps, _)| *steps)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_one_step() {
        for slip in ["evry", "everyy", "evary", "evrey"] {
            assert_eq!(osa_distance(slip, "every"), 1, "{slip}");
        }
        assert_eq!(
            (osa_distance("", "abc"), osa_distance("abc", ""), osa_distance("same", "same")),
            (3, 3, 0)
        );
        assert_eq!(osa_distance("kitten", "sitting"), 3);
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
