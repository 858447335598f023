//! What a sender of events keeps of those that it sees.

/// What of its events a sender passes on: each level what the one before it does, and more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// A user's first occurrences, ever and in an ISO week, and what makes a goal.
    Week,
    /// First occurrences on a day, too: enough for series and retention.
    Day,
    /// Whatever a funnel can depend on, too.
    Order,
}

impl Level {
    /// All levels, from the one that keeps least.
    pub const ALL: [Self; 3] = [Self::Week, Self::Day, Self::Order];

    /// Its name in requests, answers and options.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Week => "week",
            Self::Day => "day",
            Self::Order => "order",
        }
    }

    /// The level of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }
}
