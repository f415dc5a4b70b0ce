//! Xata's platform: the key, the organization and its projects, the regions, and what databases are
//! made of (`contracts/xata-platform.md` sections 4 to 7).

use per_user_db::http_client::CallError;
use per_user_db::http_client::api::Api;
use per_user_db::region::{Policy, Region};
use per_user_db::settings::Settings;
use per_user_db::xata::ProjectId;
use per_user_db::xata::platform::{self, Source};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::report::Report;
use super::{Means, quota, template};
use crate::live;
use crate::service::{Obstacle, Service};

/// More than any answer but a list of branches has.
const LIMIT_BYTES: usize = 1024 * 1024;

/// Xata, asked about one organization.
pub(super) struct Xata<'a> {
    pub(super) service: Service,
    pub(super) means: &'a Means,
    organization: &'a str,
}

/// The regions that there are.
pub(super) struct Regions(Vec<Region>);

#[derive(Deserialize)]
struct Listed {
    id: String,
}

impl Xata<'_> {
    /// Asks for a document about the organization.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Obstacle> {
        let body = self.ask(path, LIMIT_BYTES).await?;
        serde_json::from_slice(&body).map_err(|_| self.unreadable())
    }

    pub(super) async fn ask(&self, path: &str, limit_bytes: usize) -> Result<Vec<u8>, Obstacle> {
        let path = format!("/organizations/{}{path}", self.organization);
        self.service.ask(&path, limit_bytes).await
    }

    pub(super) fn unreadable(&self) -> Obstacle {
        self.service.silent(CallError::Unreadable)
    }

    /// The projects that the key sees.
    async fn projects(&self) -> Result<Vec<ProjectId>, Obstacle> {
        #[derive(Deserialize)]
        struct List {
            projects: Vec<Listed>,
        }
        let List { projects } = self.get("/projects").await?;
        let ids = projects.iter().map(|it| ProjectId::try_from(it.id.as_str()));
        ids.collect::<Result<_, _>>().map_err(|_| self.unreadable())
    }
}

impl Regions {
    /// Reads a list of them. An id that is none is no region of ours.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct List {
            regions: Vec<Listed>,
        }
        let List { regions } = serde_json::from_slice(body).ok()?;
        let ids = regions.iter().filter_map(|it| Region::try_from(it.id.as_str()).ok());
        Some(Self(ids.collect()))
    }

    pub(super) fn contain(&self, region: &Region) -> bool {
        self.0.contains(region)
    }
}

pub(super) async fn examine(
    means: &Means,
    settings: &Settings,
    platform: &platform::Settings,
    report: &mut Report,
) {
    means.progress.set_message("asking Xata");
    let (client, clock) = (means.client.clone(), means.clock.clone());
    let service = Service {
        api: Api::new(platform.url.clone(), &platform.key, client, clock),
        url: platform.url.clone(),
        words: live::XATA,
    };
    let xata = Xata { service, means, organization: platform.organization.as_str() };
    let visible = match xata.projects().await {
        Ok(visible) => visible,
        Err(obstacle) => return tell_of_no_projects(obstacle, report),
    };
    report.ok("Xata key", "accepted");
    let known: Vec<_> = settings.projects.iter().filter(|it| visible.contains(it)).collect();
    for project in settings.projects.iter().filter(|it| !visible.contains(it)) {
        report.broken(
            format!("Xata project {}", project.as_str()),
            format!("is none of the projects that the key sees ({})", visible.len()),
            "correct XATA_PROJECT_ID, or give the key all projects",
        );
    }
    let regions = xata.ask("/regions", LIMIT_BYTES).await;
    let regions = regions.and_then(|body| Regions::read(&body).ok_or_else(|| xata.unreadable()));
    match regions {
        Ok(regions) => {
            examine_regions(&regions, &settings.policy, report);
            let allowed = settings.policy.allowed.iter();
            let allowed: Vec<_> = allowed.filter(|it| regions.contain(it)).collect();
            match &platform.source {
                Source::Templates(templates) => {
                    for ((project, region), id) in templates {
                        if known.contains(&project) && allowed.contains(&region) {
                            template::examine(&xata, project, region, id, report).await;
                        }
                    }
                }
                Source::Root { image, instance_type } => {
                    template::examine_root(&xata, &allowed, image, instance_type, report).await;
                }
            }
        }
        Err(obstacle) => report.obstacle("Xata regions", obstacle),
    }
    quota::examine(&xata, &visible, &known, report).await;
}

/// The first question: what is wrong with its answer tells of the key, or of the organization.
fn tell_of_no_projects(obstacle: Obstacle, report: &mut Report) {
    if obstacle.is_refusal() && obstacle.status.is_some_and(|status| status != 401) {
        report.ok("Xata key", "accepted");
        let mend = "correct XATA_ORGANIZATION_ID, or give the key the scope project:read";
        report.broken("Xata organization", obstacle.what, mend);
    } else {
        report.obstacle("Xata key", obstacle);
    }
}

/// Whether there is every region that users can be placed in.
pub(super) fn examine_regions(regions: &Regions, policy: &Policy, report: &mut Report) {
    let there_are: Vec<_> = regions.0.iter().map(Region::as_str).collect();
    for region in &policy.allowed {
        let check = format!("Xata region {region}");
        if regions.contain(region) {
            report.ok(check, "exists");
        } else {
            report.broken(
                check,
                format!("does not exist; there are {}", there_are.join(", ")),
                "correct DEFAULT_REGION, REGION_BY_CONTINENT, REGION_BY_COUNTRY or ALLOWED_REGIONS",
            );
        }
    }
}
