//! Why routes are refused.

use alloc::vec::Vec;
use core::fmt;

use oncue_pattern::Pattern;

/// Why routes are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoutesError {
    /// There are no routes.
    NoRoutes,
    /// `feeds_max` is 0.
    NoFeeds,
    /// `feeds_max` of this route is 0.
    NoFeedsOf(Pattern),
    /// Two routes have the same topics.
    Duplicate(Pattern, Pattern),
    /// Some topics belong to both routes, and neither route lies within the other.
    Ambiguous(Pattern, Pattern),
    /// A topic of this route's catalogue does not match its pattern.
    ForeignTopic(Pattern, Vec<u8>),
    /// The catalogues together have more topics than this limit.
    CatalogueTooLong(usize),
}

impl fmt::Display for RoutesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoutesError::NoRoutes => f.write_str("there are no routes; add one, such as `clock`"),
            RoutesError::NoFeeds => f.write_str("feeds_max is 0; set it to at least 1"),
            RoutesError::NoFeedsOf(pattern) => {
                write!(f, "feeds_max of the route `{pattern}` is 0; set it to at least 1")
            }
            RoutesError::Duplicate(a, b) => {
                write!(f, "the routes `{a}` and `{b}` have the same topics; remove one of them")
            }
            RoutesError::Ambiguous(a, b) => write!(
                f,
                "the routes `{a}` and `{b}` share topics, and neither lies within the other; narrow one of them"
            ),
            RoutesError::ForeignTopic(pattern, topic) => write!(
                f,
                "`{}` in the catalogue of the route `{pattern}` is not a topic of it; remove it",
                topic.escape_ascii()
            ),
            RoutesError::CatalogueTooLong(max) => {
                write!(
                    f,
                    "the catalogues have more than {max} topics; shorten them or raise catalogue_topics_max"
                )
            }
        }
    }
}

impl core::error::Error for RoutesError {}
