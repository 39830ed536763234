//! Roles, and what each of them may do.

/// What a token is for. Each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// To be a client: a row, heartbeats, chat.
    Join,
    /// To see the others: the roster, lists, and questions over HTTP.
    Watch,
    /// To send notifications.
    Notify,
    /// To do everything.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 4] = [Self::Join, Self::Watch, Self::Notify, Self::Admin];

    /// Returns the word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Join => "join",
            Self::Watch => "watch",
            Self::Notify => "notify",
            Self::Admin => "admin",
        }
    }

    /// Returns the role a word means.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

/// What somebody who was let in may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights(Role);

impl Rights {
    /// Everything: where no tokens are asked for, nobody is held back.
    pub const ALL: Self = Self(Role::Admin);

    /// Returns what a role allows.
    #[must_use]
    pub fn of(role: Role) -> Self {
        Self(role)
    }

    /// Tells whether the others may be seen: the roster, lists, and questions over HTTP.
    #[must_use]
    pub fn may_watch(self) -> bool {
        self.0 >= Role::Watch
    }

    /// Tells whether notifications may be sent.
    #[must_use]
    pub fn may_notify(self) -> bool {
        self.0 >= Role::Notify
    }

    /// Tells whether what only an operator does may be done.
    #[must_use]
    pub fn may_administer(self) -> bool {
        self.0 >= Role::Admin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_may_do_what_those_before_it_may() {
        let rights = Role::ALL.map(Rights::of);
        assert_eq!(rights.map(Rights::may_watch), [false, true, true, true]);
        assert_eq!(rights.map(Rights::may_notify), [false, false, true, true]);
        assert_eq!(rights.map(Rights::may_administer), [false, false, false, true]);
        assert_eq!(Role::ALL.map(|role| Role::from_word(role.word())), Role::ALL.map(Some));
        assert_eq!(Role::from_word("Admin"), None);
    }
}
