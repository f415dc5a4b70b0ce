//! `per-user-db` gives every Clerk user a database of their own in Xata.
