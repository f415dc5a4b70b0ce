//! Services for an operator's commands: Xata with two projects, and Clerk, on one socket.

use serde_json::{Value, json};
use standin::clerk::backend::{self, Backend};
use standin::clerk::{SignUp, user_id};
use standin::fault::{Effect, Fault};
use standin::xata::platform::{self, Call, Database, NewDatabase, Platform};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{branches, ops, run, runtime, serve};

pub(crate) const PROJECTS: [&str; 2] = ["prj_a", "prj_b"];

/// Text that no output may contain: keys, passwords, personal data.
const SECRETS: [&str; 8] = [
    "xau_",
    "sk_test",
    "Bearer",
    "postgresql:",
    "@example.com",
    "Lindqvist",
    "mara",
    "planted-secret",
];

/// The services, and one user, who has no database yet.
pub(crate) struct World {
    pub(crate) xata: Platform,
    pub(crate) clerk: Backend,
    pub(crate) user: String,
    /// The project in which their database belongs, and the other.
    pub(crate) home: &'static str,
    pub(crate) elsewhere: &'static str,
    pub(crate) instance: String,
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) runtime: Runtime,
    /// Where the commands run.
    pub(crate) directory: TempDir,
}

/// The result of a command.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) error: String,
}

impl Outcome {
    /// The one document that was printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{}{}", self.out, self.error))
    }
}

impl World {
    pub(crate) fn start() -> Self {
        let runtime = runtime();
        let options = (platform::Options::default(), backend::Options::default());
        let (api_key, organization) = (options.0.api_key.clone(), options.0.organization.clone());
        let (secret_key, instance) = (options.1.secret_key.clone(), options.1.instance_id.clone());
        let (xata, clerk) = (Platform::new(options.0), Backend::new(options.1.unlimited()));
        for project in PROJECTS {
            xata.insert_project(project, project);
            xata.insert_template(project, &format!("template{project}"), "eu-central-1");
        }
        let user = user_id(1);
        clerk.insert(SignUp {
            private_metadata: json!({ "plan": "planted-secret" }),
            ..SignUp::new(&user)
        });
        let url = serve(&runtime, clerk.beside(xata.router()));
        let settings = vec![
            ("XATA_API_KEY", api_key),
            ("XATA_API_URL", url.clone()),
            ("XATA_ORGANIZATION_ID", organization),
            ("XATA_PROJECT_ID", PROJECTS.join(",")),
            ("CLERK_SECRET_KEY", secret_key),
            ("CLERK_API_URL", format!("{url}/v1")),
        ];
        let ids = PROJECTS.map(|project| project.try_into().unwrap()).to_vec();
        let projects = per_user_db::xata::Projects::new(ids).unwrap();
        let home = projects.for_user(&user.as_str().try_into().unwrap())[0].as_str().to_owned();
        let [home, elsewhere] =
            if home == PROJECTS[0] { PROJECTS } else { [PROJECTS[1], PROJECTS[0]] };
        let directory = tempfile::tempdir().unwrap();
        Self { xata, clerk, user, home, elsewhere, instance, settings, runtime, directory }
    }

    /// Runs a command about the user with these settings changed, an empty one being taken away, and
    /// checks that the output contains no secret.
    pub(crate) fn run_with(
        &self,
        command: &str,
        flags: &[&str],
        changes: &[(&'static str, &str)],
    ) -> Outcome {
        self.run_command(&[&[command, &self.user], flags].concat(), changes)
    }

    /// The same for a command that is not about one user.
    pub(crate) fn run_command(
        &self,
        arguments: &[&str],
        changes: &[(&'static str, &str)],
    ) -> Outcome {
        let mut command = ops(arguments);
        command.current_dir(self.directory.path());
        command.envs(self.settings.clone()).envs(changes.iter().copied());
        let (code, out, error) = run(&mut command);
        for secret in SECRETS {
            assert!(!out.contains(secret) && !error.contains(secret), "{secret}: {out}{error}");
        }
        Outcome { code, out, error }
    }

    pub(crate) fn run(&self, command: &str, flags: &[&str]) -> Outcome {
        self.run_with(command, flags, &[])
    }

    /// Puts a database of this name in place, and returns its id.
    pub(crate) fn insert(&self, project: &str, name: &str) -> String {
        self.xata.insert(project, [NewDatabase::root(name, "eu-central-1")]);
        self.named(name).into_iter().find(|it| it.project == project).unwrap().id
    }

    /// Puts a parked copy in place, and returns its id.
    pub(crate) fn park(&self, project: &str, since: u64) -> String {
        self.insert(project, &format!("parked/{}/{since}", self.user))
    }

    pub(crate) fn named(&self, name: &str) -> Vec<Database> {
        self.xata.databases_named(name)
    }

    /// The entry that the function would write.
    pub(crate) fn entry(&self, project: &str, id: &str) -> Value {
        json!({
            "id": id,
            "name": self.user,
            "project": project,
            "region": "eu-central-1",
            "status": "created",
        })
    }

    pub(crate) fn write_entry(&self, entry: &Value) {
        self.clerk.change_user(&self.user, |user| {
            user.private_metadata = json!({ "database": entry, "plan": "planted-secret" });
        });
    }

    /// The user's private metadata.
    pub(crate) fn metadata(&self) -> Value {
        self.clerk.user(&self.user).unwrap().private_metadata
    }

    /// Lets the next call of this kind go wrong.
    pub(crate) fn fault(&self, on: Call, effect: Effect) {
        self.xata.faults().push(Fault::once(on, effect));
    }

    /// Runs a statement in a branch, and returns its rows.
    pub(crate) fn sql(&self, branch: &str, statement: &str) -> Value {
        branches::sql(&self.runtime, &self.xata, branch, statement)
    }

    /// Puts a branch to sleep, as an idle one with scale to zero is.
    pub(crate) fn hibernate(&self, branch: &str) {
        branches::hibernate(&self.runtime, &self.xata, self.url(), branch);
    }

    /// Changes a branch, as an operator does.
    pub(crate) fn patch(&self, branch: &str, change: &Value) {
        branches::patch(&self.runtime, &self.xata, self.url(), branch, change);
    }

    fn url(&self) -> &str {
        &self.settings.iter().find(|(name, _)| *name == "XATA_API_URL").unwrap().1
    }

    /// The passwords of all branches.
    pub(crate) fn passwords(&self) -> Vec<String> {
        let all = self.xata.databases();
        let access = all.iter().filter_map(|it| self.xata.connection_string(&it.id));
        let password = |access: String| {
            let (_, rest) = access.split_once("://xata:").unwrap();
            rest.split_once('@').unwrap().0.to_owned()
        };
        access.map(password).collect()
    }

    /// The methods of the requests that change something, of both services.
    pub(crate) fn changes(&self) -> Vec<String> {
        let requests = [self.xata.requests(), self.clerk.requests()].concat();
        let changes = requests.into_iter().filter(|it| it.method != "GET");
        changes.map(|it| format!("{} {}", it.method, it.path)).collect()
    }
}
