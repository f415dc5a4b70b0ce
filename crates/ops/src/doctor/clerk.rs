//! Clerk: whose key it is.

use per_user_db::clerk::{Instances, backend};
use per_user_db::http_client::CallError;
use serde::Deserialize;

use super::Means;
use super::report::Report;
use crate::live;

#[derive(Deserialize)]
struct Instance {
    id: String,
    environment_type: Option<String>,
}

pub(super) async fn examine(
    means: &Means,
    settings: backend::Settings,
    instances: &Instances,
    report: &mut Report,
) {
    means.progress.set_message("asking Clerk");
    let clerk = live::clerk(settings, means.client.clone(), means.clock.clone());
    let is_id = |id: &str| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let instance = match clerk.get::<Instance>("/instance").await {
        Ok(instance) if !is_id(&instance.id) => Err(clerk.silent(CallError::Unreadable)),
        answer => answer,
    };
    let Instance { id, environment_type } = match instance {
        Ok(instance) => instance,
        Err(obstacle) => return report.obstacle("Clerk key", obstacle),
    };
    report.ok("Clerk key", "accepted");
    let check = "Clerk instance";
    if let Instances::Only(known) = instances
        && !known.contains(&id)
    {
        let mend = "set CLERK_SECRET_KEY to a key of the instance whose events arrive, or correct \
                    CLERK_INSTANCE_ID";
        report.broken(check, format!("{id}, which CLERK_INSTANCE_ID does not list"), mend);
    } else if environment_type.as_deref() == Some("development") {
        let mend = "for production, set CLERK_SECRET_KEY to a key of the production instance";
        report.warning(check, format!("{id}, a development instance"), mend);
    } else {
        report.ok(check, id);
    }
}
