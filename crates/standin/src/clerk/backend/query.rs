//! Which users a list shows, and in what order (docs/vendors/clerk.md, "Reading users").

use std::ops::RangeInclusive;

use super::error;
use super::user::User;
use crate::service::ErrorResponse;

type Pairs = [(String, String)];

/// The parameter that gives the version of the API instead of the header.
pub(super) const API_VERSION: &str = "__clerk_api_version";
const CREATED_AT: &str = "created_at";
/// What a list can be ordered by.
const FIELDS: [&str; 10] = [
    CREATED_AT,
    "updated_at",
    "email_address",
    "web3wallet",
    "first_name",
    "last_name",
    "phone_number",
    "username",
    "last_active_at",
    "last_sign_in_at",
];
const FILTERS: [&str; 3] = ["user_id", "created_at_before", "created_at_after"];
const PAGING: [&str; 4] = ["limit", "offset", "starting_after", "order_by"];
const MOST_USER_IDS: usize = 100;

/// The filters of a list or a count.
#[derive(Debug)]
pub(super) struct Filter {
    user_ids: Vec<String>,
    created_before: Option<u64>,
    created_after: Option<u64>,
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page {
    filter: Filter,
    limit: usize,
    offset: usize,
    pub(super) starting_after: Option<String>,
    field: &'static str,
    pub(super) is_descending: bool,
}

impl Filter {
    /// Reads the filters. A count accepts the parameters of paging and ignores them, as the vendor's own client sends
    /// some of them there. The stand-in refuses the other filters of the service, which it would not apply.
    pub(super) fn read(pairs: &Pairs) -> Result<Self, ErrorResponse> {
        let is_known =
            |name: &str| FILTERS.contains(&name) || PAGING.contains(&name) || name == API_VERSION;
        if let Some((name, _)) = pairs.iter().find(|(name, _)| !is_known(name)) {
            return Err(error::unknown_parameter(name));
        }
        let given = pairs.iter().filter(|(name, _)| name == "user_id");
        let user_ids: Vec<String> = given.map(|(_, id)| id.clone()).collect();
        if user_ids.len() > MOST_USER_IDS {
            return Err(error::wrong_value("user_id", "there are more than 100"));
        }
        Ok(Self {
            user_ids,
            created_before: number(pairs, "created_at_before", 0..=u64::MAX)?,
            created_after: number(pairs, "created_at_after", 0..=u64::MAX)?,
        })
    }

    pub(super) fn admits(&self, user: &User) -> bool {
        let created_at = user.sign_up.created_at();
        (self.user_ids.is_empty() || self.user_ids.contains(&user.sign_up.user_id))
            && self.created_before.is_none_or(|it| created_at < it)
            && self.created_after.is_none_or(|it| created_at > it)
    }
}

impl Page {
    pub(super) fn read(pairs: &Pairs) -> Result<Self, ErrorResponse> {
        let filter = Filter::read(pairs)?;
        let limit = number(pairs, "limit", 1..=500)?.unwrap_or(10);
        let offset = number(pairs, "offset", 0..=u64::MAX)?.unwrap_or(0);
        let starting_after = first(pairs, "starting_after").map(ToOwned::to_owned);
        let order_by = first(pairs, "order_by").unwrap_or("-created_at");
        let name = order_by.strip_prefix(['+', '-']).unwrap_or(order_by);
        let Some(field) = FIELDS.into_iter().find(|field| *field == name) else {
            return Err(error::wrong_value("order_by", "there is no such ordering"));
        };
        if starting_after.is_some() && field != CREATED_AT {
            let message = "starting_after needs the created_at ordering";
            return Err(error::wrong_value("order_by", message));
        }
        if starting_after.is_some() && offset != 0 {
            let message = "starting_after and offset exclude each other";
            return Err(error::wrong_value("offset", message));
        }
        Ok(Self {
            filter,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            offset: usize::try_from(offset).unwrap_or(usize::MAX),
            starting_after,
            field,
            is_descending: order_by.starts_with('-'),
        })
    }

    /// Whether the list is in the order of creation, which a cursor needs.
    pub(super) fn is_by_creation(&self) -> bool {
        self.field == CREATED_AT
    }

    /// The users of the page: of `users`, which are those after the cursor, in the order of the list.
    pub(super) fn of<'a>(&self, users: impl Iterator<Item = &'a User>) -> Vec<&'a User> {
        let admitted = users.filter(|user| self.filter.admits(user));
        admitted.skip(self.offset).take(self.limit).collect()
    }

    /// The same where `users` are all of them, in any order.
    pub(super) fn sorted<'a>(&self, users: impl Iterator<Item = &'a User>) -> Vec<&'a User> {
        let mut users: Vec<&User> = users.collect();
        users.sort_by(|one, other| self.key(one).cmp(&self.key(other)));
        if self.is_descending {
            users.reverse();
        }
        self.of(users.into_iter())
    }

    /// Users that are otherwise equal are ordered by their ids. No user of the stand-in has a phone, a wallet or a
    /// user name, or has signed in again.
    fn key<'a>(&self, user: &'a User) -> (u64, &'a str, &'a str) {
        let sign_up = &user.sign_up;
        let (number, text) = match self.field {
            "last_active_at" => (sign_up.created_at(), ""),
            "updated_at" => (user.updated_at, ""),
            "email_address" => (0, sign_up.email_local_part.as_deref().unwrap_or_default()),
            "first_name" => (0, &*sign_up.first_name),
            "last_name" => (0, &*sign_up.last_name),
            _ => (0, ""),
        };
        (number, text, &sign_up.user_id)
    }
}

/// The value of a parameter; of several values the first counts.
fn first<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    pairs.iter().find(|pair| pair.0 == name).map(|pair| &*pair.1)
}

fn number(
    pairs: &Pairs,
    name: &str,
    range: RangeInclusive<u64>,
) -> Result<Option<u64>, ErrorResponse> {
    let Some(text) = first(pairs, name) else { return Ok(None) };
    let number: i64 = text.parse().map_err(|_| error::wrong_type(name))?;
    let allowed = u64::try_from(number).ok().filter(|number| range.contains(number));
    allowed.map(Some).ok_or_else(|| error::wrong_value(name, "the number is out of range"))
}
