use std::fmt;
use std::time::{Duration, SystemTime};

use svix_ksuid::{Ksuid, KsuidLike};

const PREFIX: &str = "user_";

/// A Clerk user id: `user_` and 10 to 64 letters and digits (`docs/vendors/clerk.md`, "User ids"). It
/// is safe in a URL path, a database name and a log line.
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

    /// The second in which the id was made, which is that of the sign-up. None where the id is no
    /// KSUID: Clerk does not promise that it is one.
    pub fn created_at(&self) -> Option<SystemTime> {
        let text = self.0.strip_prefix(PREFIX)?;
        // The parser wraps numbers that are too large for a KSUID.
        let id: Ksuid = text.parse().ok().filter(|id: &Ksuid| id.to_string() == text)?;
        let seconds = id.timestamp_seconds().try_into().ok()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    }
}

impl TryFrom<&str> for UserId {
    type Error = NotAUserId;

    fn try_from(text: &str) -> Result<Self, NotAUserId> {
        let tail = text.strip_prefix(PREFIX).ok_or(NotAUserId)?;
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
    fn an_id_contains_the_second_of_the_sign_up() {
        let created_at = |tail: &str| {
            let id = UserId::try_from(format!("user_{tail}").as_str()).expect("an id");
            id.created_at().map(|at| at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970"))
        };
        // Ids and times of tests/vectors; the last is KSUID's published highest value.
        for (tail, seconds) in [
            ("37vVbDk2sV69GiZuqjqVZRkONtI", 1_767_783_600),
            ("37vctfO9XiVdjV0fLzIiUq2adSQ", 1_767_787_201),
            ("000000000000000000000000000", 1_400_000_000),
            ("aWgEPTl1tmebfsQzFP4bxwgy80V", 5_694_967_295),
        ] {
            assert_eq!(created_at(tail), Some(Duration::from_secs(seconds)), "{tail}");
        }
        for tail in ["aWgEPTl1tmebfsQzFP4bxwgy80W", "37vVbDk2sV69GiZuqjqVZRkONt", "abcdefghij"] {
            assert_eq!(created_at(tail), None, "{tail}");
        }
    }

    #[test]
    fn an_id_with_other_characters_or_another_prefix_is_refused() {
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
