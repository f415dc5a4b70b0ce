//! Clerk: the instance of the key.

use per_user_db::clerk::{Instances, backend};

use super::checks::Checks;
use crate::directory::Directory;
use crate::service::Service;

/// Returns the instance of the key, where Clerk names it.
pub(super) async fn check(
    settings: backend::Settings,
    instances: Instances,
    checks: &mut Checks,
) -> Option<String> {
    checks.begin("asking Clerk");
    let directory = Directory::new(Service::clerk(settings), instances);
    let instance = match directory.instance().await {
        Ok(instance) => instance,
        Err(error) => {
            checks.error("Clerk key", error);
            return None;
        }
    };
    checks.ok("Clerk key", "accepted");
    let check = "Clerk instance";
    if !directory.lists(&instance) {
        let mend = "set CLERK_SECRET_KEY to a key of the instance whose events arrive, or correct \
                    CLERK_INSTANCE_ID";
        checks.broken(
            check,
            format!("{}, which CLERK_INSTANCE_ID does not list", instance.id),
            mend,
        );
    } else if instance.environment_type.as_deref() == Some("development") {
        let mend = "for production, set CLERK_SECRET_KEY to a key of the production instance";
        checks.warning(check, format!("{}, a development instance", instance.id), mend);
    } else {
        checks.ok(check, instance.id.clone());
    }
    Some(instance.id)
}
