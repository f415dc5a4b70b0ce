//! What is made and changed at Xata. Everything is looked up before it is believed, and may be done
//! again: a name is taken once only.

use std::time::Duration;

use http::Method;
use per_user_db::error::{ErrorKind, UpstreamError};
use per_user_db::http_client::json_api::ApiResponse;
use per_user_db::provision::{CallLog, Provisioner, TimeBudget};
use per_user_db::region::Region;
use per_user_db::xata::{DatabaseName, ProjectId, Projects};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::cloud::{Cloud, Listed};
use crate::service::Problem;

/// Three creates fit, each of which Xata's edge ends after 60 s.
const TIMEOUT: Duration = Duration::from_secs(4 * 60);

/// How often a change is asked for whose answer is lost, or that meets another one.
const MOST_TRIES: usize = 4;
const PAUSE: Duration = Duration::from_secs(1);

impl Cloud {
    /// Makes a project, which costs nothing; or finds it, if it was made meanwhile.
    pub(super) async fn make_project(&self, name: &str) -> Result<ProjectId, Problem> {
        let body = json!({ "name": name });
        let mut last = None;
        for _ in 0..MOST_TRIES {
            let path = self.organization.path("/projects");
            let certain =
                match self.organization.service.exchange(Method::POST, &path, Some(&body)).await {
                    Ok(answer) => project_refusal(self, &answer),
                    Err(obstacle) => {
                        last = Some(obstacle.into());
                        None
                    }
                };
            // At quota the name may be there all the same, and an answer that was lost or is odd may
            // have been a yes.
            if let Some(project) = self.project(name).await? {
                return Ok(project);
            }
            if let Some(problem) = certain {
                return Err(problem);
            }
            sleep(PAUSE).await;
        }
        Err(last.unwrap_or_else(|| Problem("Xata does not make the project".to_owned())))
    }

    /// Makes a root branch that stays awake, by the decisions by which the function makes a user's
    /// database; or finds it, if it was made meanwhile.
    pub(super) async fn make_template(
        &self,
        project: &ProjectId,
        name: &str,
        region: &Region,
    ) -> Result<Listed, Problem> {
        let name_of_it = DatabaseName::try_from(name);
        let name_of_it = name_of_it.map_err(|_| Problem(format!("{name} is no name")))?;
        let provisioner = Provisioner {
            databases: &self.databases,
            projects: &Projects::from(project.clone()),
            name: name_of_it,
            user_check: None,
            budget: TimeBudget::new(TIMEOUT),
            calls: &mut CallLog::default(),
        };
        provisioner.ensure(region, true).await.map_err(|error| self.words(&error))?;
        let listed = self.branch(project, name).await?;
        listed.ok_or_else(|| Problem(format!("Xata made {name}, and does not list it yet")))
    }

    /// Changes a branch. The change says what is to be, so it can be asked for again.
    pub(super) async fn change(
        &self,
        project: &ProjectId,
        template: &Listed,
        change: &Value,
    ) -> Result<(), Problem> {
        let branches = self.organization.branches_path(project.as_str());
        let path = format!("{branches}/{}", template.id.as_str());
        let mut tries = 0;
        loop {
            tries += 1;
            let problem = match self
                .organization
                .service
                .exchange(Method::PATCH, &path, Some(change))
                .await
            {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(answer) => {
                    let problem = self.organization.service.refused(answer.status).into();
                    if ![408, 409, 423, 429, 500, 502, 503, 504].contains(&answer.status.as_u16()) {
                        return Err(problem);
                    }
                    problem
                }
                Err(obstacle) => obstacle.into(),
            };
            if tries == MOST_TRIES {
                return Err(problem);
            }
            sleep(PAUSE).await;
        }
    }

    /// What is in the way of a template, and what to do about it.
    fn words(&self, error: &UpstreamError) -> Problem {
        let status = error.status.map(|status| format!(" ({status})")).unwrap_or_default();
        let (image, instance_type) = (&self.image, &self.instance_type);
        Problem(match error.kind {
            ErrorKind::KeyRefused => format!("Xata refuses the key{status}: check XATA_API_KEY"),
            ErrorKind::AccessDenied => format!(
                "Xata does not let this key make branches{status}: it needs branch:write, \
                 unrestricted in projects and branches"
            ),
            ErrorKind::OrganizationDisabled => {
                format!("the organization is disabled{status}: see Xata's billing")
            }
            ErrorKind::StandingQuota => format!(
                "the quota of branches is reached{status}: ask Xata for more, or delete what \
                 nobody needs"
            ),
            ErrorKind::HourlyQuota => format!(
                "the quota of new branches an hour is reached{status}: wait until the hour is over"
            ),
            ErrorKind::RequestRejected => format!(
                "Xata does not accept the template{status}: check the image {image} and the \
                 instance type {instance_type}"
            ),
            ErrorKind::Contention | ErrorKind::RateLimited => {
                format!("Xata is busy{status}: wait a minute")
            }
            kind => {
                let word: &'static str = kind.into();
                format!("Xata fails, {word}{status}: see its status")
            }
        })
    }
}

/// Why a project was certainly not made by this answer, and will not be by another try.
fn project_refusal(cloud: &Cloud, answer: &ApiResponse) -> Option<Problem> {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    let message = answer.json().map_or_else(|_| String::new(), |it: Refusal| it.message);
    let says = |text: &str| message.contains(text);
    match answer.status.as_u16() {
        200..=299 | 408 | 409 | 423 | 500.. => None,
        403 if says("reached the") => Some(Problem(
            "the quota of projects is reached (403): ask Xata for more, or delete what nobody needs"
                .to_owned(),
        )),
        403 if says("is disabled") => {
            Some(Problem("the organization is disabled (403): see Xata's billing".to_owned()))
        }
        403 => Some(Problem(
            "Xata does not let this key make projects (403): it needs project:write, unrestricted \
             in projects; or make the project in Xata, and run this again"
                .to_owned(),
        )),
        429 if says("per hour") => Some(Problem(
            "the quota of new projects an hour is reached (429): wait until the hour is over"
                .to_owned(),
        )),
        _ => Some(cloud.organization.service.refused(answer.status).into()),
    }
}
