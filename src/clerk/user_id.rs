use std::fmt;

/// A Clerk user id: `user_` and 10 to 64 characters of base62 (`contracts/clerk.md` section 6). It
/// holds nothing else, so it is safe in a URL path, a database name and a log line.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(String);

/// Text that is no Clerk user id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a Clerk user id: user_ and 10 to 64 letters and digits")]
pub struct NotAUserId;

impl UserId {
    /// The id as Clerk spells it; case matters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for UserId {
    type Error = NotAUserId;

    fn try_from(text: &str) -> Result<Self, NotAUserId> {
        let tail = text.strip_prefix("user_").ok_or(NotAUserId)?;
        let well_formed = (10..=64).contains(&tail.len())
            && tail.bytes().all(|byte| byte.is_ascii_alphanumeric());
        well_formed.then(|| Self(text.to_owned())).ok_or(NotAUserId)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_to_sixty_four_characters_of_base62_follow_the_prefix() {
        for (length, fits) in [(9, false), (10, true), (27, true), (64, true), (65, false)] {
            assert_eq!(
                UserId::try_from(format!("user_{}", "a".repeat(length)).as_str()).is_ok(),
                fits,
                "{length}"
            );
        }
    }

    #[test]
    fn nothing_outside_the_alphabet_gets_in() {
        for tail in [
            "../../../dbs",
            "%2e%2e%2fabcdef",
            "abcdefghij\n",
            "abcdefghi é",
            "abc_defghij",
            "abcde:fghij",
            "",
        ] {
            assert_eq!(
                UserId::try_from(format!("user_{tail}").as_str()),
                Err(NotAUserId),
                "{tail:?}"
            );
        }
        for text in [
            "",
            "user",
            "User_abcdefghij",
            "org_abcdefghijk",
            " user_abcdefghij",
            "xuser_abcdefghij",
        ] {
            assert_eq!(UserId::try_from(text), Err(NotAUserId), "{text:?}");
        }
    }
}
