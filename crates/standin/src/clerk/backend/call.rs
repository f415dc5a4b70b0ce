//! The calls of the API, and where each is routed.

use http::Method;

use crate::fault;

/// A call of the API, to aim a [`fault::Fault`] at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the vendor's document")]
pub enum Call {
    Any,
    GetInstance,
    GetUserList,
    GetUsersCount,
    GetUser,
    UpdateUser,
    UpdateUserMetadata,
    ReplaceUserMetadata,
    DeleteUser,
}

impl fault::Call for Call {
    const ANY: Self = Self::Any;
}

/// What every path of the API begins with.
pub(super) const BASE: &str = "/v1/";
pub(super) const INSTANCE: &str = "/v1/instance";
pub(super) const USERS: &str = "/v1/users";
pub(super) const COUNT: &str = "/v1/users/count";
pub(super) const USER: &str = "/v1/users/{user_id}";
pub(super) const METADATA: &str = "/v1/users/{user_id}/metadata";

pub(super) const CALLS: [(Method, &str, Call); 8] = [
    (Method::GET, INSTANCE, Call::GetInstance),
    (Method::GET, USERS, Call::GetUserList),
    (Method::GET, COUNT, Call::GetUsersCount),
    (Method::GET, USER, Call::GetUser),
    (Method::PATCH, USER, Call::UpdateUser),
    (Method::PATCH, METADATA, Call::UpdateUserMetadata),
    (Method::PUT, METADATA, Call::ReplaceUserMetadata),
    (Method::DELETE, USER, Call::DeleteUser),
];
