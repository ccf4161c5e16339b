//! The recipe for pipelines, `examples/approvals/set-author.sh`, on real Git histories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use eventcenter::api::AUTHORED_BY;
use eventcenter_sdk::Reason;
use serde_json::Value;
use tempfile::TempDir;

use super::team::{Team, assert_accepted};
use crate::stage;
use crate::support::{KubeClient, WriteMethod, assert_refused, yaml};

const ALICE: &str = "Alice Doe <alice@shop.example>";
const BOB: &str = "Bob <bob@shop.example>";
const CAROL: &str = "Carol <carol@shop.example>";

/// A repository with manifests, and the folder that automation applies.
struct Repository {
    folder: TempDir,
    target: TempDir,
    kubectl: PathBuf,
    base: String,
}

impl Repository {
    /// With a commit of the manifests `orders`, `pay` and `old`.
    fn new() -> Self {
        let folder = || tempfile::tempdir().expect("a folder");
        let kubectl = stage::with_webhook().kubectl;
        let mut new = Self { folder: folder(), target: folder(), kubectl, base: String::new() };
        new.git(&["init", "--quiet", "--initial-branch=main"]);
        for name in ["orders", "pay", "old"] {
            new.write(&format!("topics/{name}.yaml"), &manifest(name, "{partitions: 1}"));
        }
        new.base = new.commit("Root <root@shop.example>", "first");
        new
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path());
        command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        command
    }

    fn git(&self, arguments: &[&str]) -> String {
        self.git_as("Committer <committer@shop.example>", arguments)
    }

    /// Runs git with an author of commits.
    fn git_as(&self, author: &str, arguments: &[&str]) -> String {
        let (name, address) = author.rsplit_once(" <").expect("an author");
        let mut command = self.command("git");
        for role in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{role}_NAME"), name);
            command.env(format!("GIT_{role}_EMAIL"), address.trim_end_matches('>'));
        }
        command.args(arguments);
        let result = xtask::process::run(command);
        result.unwrap_or_else(|error| panic!("git {arguments:?}: {error:#}")).trim().to_owned()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is created");
        fs::write(path, text).expect("the file is written");
    }

    fn commit(&self, author: &str, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git_as(author, &["commit", "--quiet", "--message", message]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Changes the spec of a manifest in a commit.
    fn change(&self, author: &str, name: &str, spec: &str) -> String {
        self.write(&format!("topics/{name}.yaml"), &manifest(name, spec));
        self.commit(author, spec)
    }

    fn rename(&self, author: &str, from: &str, to: &str) -> String {
        self.git(&["mv", &format!("topics/{from}"), &format!("topics/{to}")]);
        self.commit(author, "rename")
    }

    fn branch(&self, name: &str) {
        self.git(&["checkout", "--quiet", "-B", name, &self.base]);
    }

    /// Merges a branch into main.
    fn merge(&self, branch: &str) {
        self.git(&["checkout", "--quiet", "main"]);
        self.git_as(CAROL, &["merge", "--quiet", "--no-ff", "--no-edit", branch]);
    }

    /// Runs the recipe. Returns the exit code, standard output and standard error.
    fn set_author(&self, before: &str, after: &str) -> (i32, String, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/approvals/set-author.sh");
        let mut command = self.command(script.to_str().expect("a path"));
        let folder = self.kubectl.parent().expect("a folder").display().to_string();
        let path = std::env::var("PATH").expect("the PATH");
        command.env("PATH", format!("{folder}:{path}")).env("KUBECONFIG", "/dev/null");
        command.args([before, after, "topics"]).arg(self.target.path());
        let output = command.output().expect("the script runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    }

    /// Asserts which files are written since the first commit, and their authors.
    #[track_caller]
    fn assert_authors(&self, expected: &[(&str, &str)]) {
        let (code, out, err) = self.set_author(&self.base, "HEAD");
        let lines: Vec<String> =
            expected.iter().map(|(file, author)| format!("topics/{file}: {author}")).collect();
        assert_eq!(
            (code, out.lines().collect::<Vec<_>>()),
            (0, lines.iter().map(String::as_str).collect()),
            "{err}"
        );
        for (file, author) in expected {
            assert_eq!(self.built(file)["metadata"]["annotations"][AUTHORED_BY], *author);
        }
    }

    /// Asserts that a file has several authors and nothing is written.
    #[track_caller]
    fn assert_several(&self, file: &str, authors: &[&str]) {
        let (code, out, err) = self.set_author(&self.base, "HEAD");
        assert_eq!((code, out.as_str()), (1, ""), "{err}");
        let start = format!("set-author: topics/{file} has several authors in {}..HEAD", self.base);
        assert!(err.starts_with(&start), "{err}");
        for author in [ALICE, BOB, CAROL, "Dave <dave@shop.example>"] {
            assert_eq!(err.contains(author), authors.contains(&author), "{author}: {err}");
        }
        assert!(err.contains("Merge the changes of several authors one after the other"), "{err}");
        assert_eq!(fs::read_dir(self.target.path()).expect("the folder").count(), 0, "nothing is written");
    }

    /// A manifest that automation applies.
    fn built(&self, file: &str) -> Value {
        let path = self.target.path().join("topics").join(file);
        yaml(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }
}

/// A manifest, long enough that git recognizes it under another name.
fn manifest(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: eventcenter.io/v1alpha1\nkind: EventTopic\nmetadata:\n  name: {name}\n  labels:\n    \
         app.kubernetes.io/name: {name}\n    app.kubernetes.io/part-of: shop\n    app.kubernetes.io/managed-by: gitops\n\
         # The end of the metadata.\n# The beginning of the spec.\nspec: {spec}\n# The end.\n"
    )
}

#[test]
fn several_commits_of_one_author() {
    let git = Repository::new();
    git.change(ALICE, "orders", "{partitions: 2}");
    git.write("README.md", "Bob's own");
    git.commit(BOB, "another file");
    git.change("Alice Doe <Alice@Shop.Example>", "orders", "{partitions: 3}");
    git.change(BOB, "pay", "{partitions: 2}");
    git.change("\"Doe, Carol\" <carol@shop.example>", "new", "{partitions: 1}");
    git.assert_authors(&[
        ("new.yaml", "carol@shop.example"),
        ("orders.yaml", "Alice Doe <Alice@Shop.Example>"),
        ("pay.yaml", BOB),
    ]);
    assert_eq!(git.built("orders.yaml")["spec"]["partitions"], 3);
    assert!(!git.target.path().join("topics/old.yaml").exists(), "an unchanged file is not written");
}

#[test]
fn what_the_manifest_says_about_its_author_is_replaced() {
    let git = Repository::new();
    let text = manifest("orders", "{partitions: 2}")
        .replace("  labels:", &format!("  annotations: {{{AUTHORED_BY}: {BOB}}}\n  labels:"));
    git.write("topics/orders.yaml", &text);
    git.commit(ALICE, "names another author");
    git.assert_authors(&[("orders.yaml", ALICE)]);
}

#[test]
fn renamed_and_removed_files() {
    let git = Repository::new();
    for name in ["orders", "old"] {
        let path = git.target.path().join(format!("topics/{name}.yaml"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is created");
        fs::write(path, "{}").expect("the file is written");
    }
    git.change(ALICE, "orders", "{partitions: 2}");
    git.rename(ALICE, "orders.yaml", "all orders.yaml");
    fs::remove_file(git.path().join("topics/old.yaml")).expect("the file is removed");
    git.commit(BOB, "remove");
    git.assert_authors(&[("all orders.yaml", ALICE)]);
    for name in ["orders", "old"] {
        assert!(!git.target.path().join(format!("topics/{name}.yaml")).exists(), "{name} is removed");
    }
}

#[test]
fn a_rename_does_not_hide_who_changed_the_file_before() {
    let git = Repository::new();
    git.change(ALICE, "orders", "{partitions: 2}");
    git.rename(BOB, "orders.yaml", "moved.yaml");
    git.assert_several("moved.yaml", &[ALICE, BOB]);
}

/// The file has its old name on one branch and its new name on the other.
#[test]
fn a_rename_on_another_branch_does_not_hide_who_changed_the_file() {
    let git = Repository::new();
    git.branch("side");
    git.rename(ALICE, "orders.yaml", "moved.yaml");
    git.git(&["checkout", "--quiet", "main"]);
    git.change(BOB, "orders", "{partitions: 2}");
    git.merge("side");
    git.assert_several("moved.yaml", &[ALICE, BOB]);
}

#[test]
fn a_merge_has_the_authors_of_its_branches() {
    let git = Repository::new();
    git.branch("side");
    git.change(ALICE, "orders", "{partitions: 2}");
    git.git(&["checkout", "--quiet", "main"]);
    git.change(BOB, "pay", "{partitions: 2}");
    git.merge("side");
    git.assert_authors(&[("orders.yaml", ALICE), ("pay.yaml", BOB)]);
}

#[test]
fn several_authors_of_one_file() {
    let git = Repository::new();
    git.branch("side");
    let text = manifest("orders", "{partitions: 1}");
    git.write("topics/orders.yaml", &text.replace("part-of: shop", "part-of: bank"));
    git.commit(ALICE, "label");
    git.git(&["checkout", "--quiet", "main"]);
    git.change(BOB, "orders", "{partitions: 2}");
    git.merge("side");
    git.assert_several("orders.yaml", &[ALICE, BOB]);
    // One after the other.
    let (code, out, err) = git.set_author(&git.base, "HEAD^1");
    assert_eq!((code, out.as_str()), (0, "topics/orders.yaml: Bob <bob@shop.example>\n"), "{err}");
}

#[test]
fn a_merge_that_itself_changes_the_file() {
    // The merge adds to what it merges.
    let git = Repository::new();
    git.branch("side");
    git.change(ALICE, "pay", "{partitions: 2}");
    git.git(&["checkout", "--quiet", "main"]);
    git.change(BOB, "old", "{partitions: 2}");
    git.git(&["merge", "--quiet", "--no-ff", "--no-commit", "side"]);
    git.change(CAROL, "orders", "{partitions: 9}");
    git.assert_authors(&[("old.yaml", BOB), ("orders.yaml", CAROL), ("pay.yaml", ALICE)]);

    // It resolves a conflict.
    let git = Repository::new();
    git.branch("side");
    git.change(ALICE, "orders", "{partitions: 2}");
    git.git(&["checkout", "--quiet", "main"]);
    git.change(ALICE, "orders", "{partitions: 3}");
    let conflict = git.command("git").args(["merge", "--quiet", "side"]).output().expect("git runs");
    assert!(!conflict.status.success(), "both changed one line");
    git.change(CAROL, "orders", "{partitions: 4}");
    git.assert_several("orders.yaml", &[ALICE, CAROL]);

    // It drops what the other branch has changed.
    let git = Repository::new();
    git.change(BOB, "orders", "{partitions: 2}");
    let before = git.git(&["rev-parse", "HEAD"]);
    git.branch("side");
    git.change(ALICE, "pay", "{partitions: 2}");
    git.git_as(CAROL, &["merge", "--quiet", "--strategy=ours", "--no-edit", "main"]);
    let (code, out, err) = git.set_author(&before, "side");
    let lines = format!("topics/orders.yaml: {CAROL}\ntopics/pay.yaml: {ALICE}\n");
    assert_eq!((code, out), (0, lines), "{err}");
}

#[test]
fn a_commit_with_a_co_author_has_two_authors() {
    let git = Repository::new();
    git.write("topics/orders.yaml", &manifest("orders", "{partitions: 2}"));
    git.commit(
        ALICE,
        "Squashed\n\nco-authored-by: Dave <dave@shop.example>\nSigned-off-by: Bob <bob@shop.example>",
    );
    git.assert_several("orders.yaml", &[ALICE, "Dave <dave@shop.example>"]);
}

#[test]
fn histories_that_do_not_tell_the_authors_are_refused() {
    let git = Repository::new();
    git.change(ALICE, "orders", "{partitions: 2}");
    git.branch("rewritten");
    git.change(BOB, "orders", "{partitions: 3}");
    let (code, _, err) = git.set_author("main", "rewritten");
    assert_eq!(
        (code, err.as_str()),
        (
            1,
            "set-author: main is not an ancestor of rewritten: the history was rewritten, so the authors of its changes are unknown\n"
        )
    );
    let (code, _, err) = git.set_author(&"0".repeat(40), "main");
    assert!(code == 2 && err.contains("pass the commit before the push"), "{err}");
    git.git(&["checkout", "--quiet", "main"]);
    git.write("topics/values.yaml", "partitions: 3\n");
    git.commit(ALICE, "no manifest");
    let (code, out, err) = git.set_author(&git.base, "main");
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.ends_with("topics/values.yaml is not a manifest that kubectl reads\n"), "{err}");
    assert_eq!(fs::read_dir(git.target.path()).expect("the folder").count(), 0, "nothing is written");
    let shallow = tempfile::tempdir().expect("a folder");
    let origin = format!("file://{}", git.path().display());
    git.git(&["clone", "--quiet", "--depth=1", &origin, &shallow.path().display().to_string()]);
    let clone = Repository { folder: shallow, ..git };
    let (code, _, err) = clone.set_author("HEAD", "HEAD");
    assert!(code == 2 && err.contains("fetch the whole history"), "{err}");
}

#[tokio::test]
async fn what_the_recipe_writes_is_applied_and_its_author_cannot_approve() {
    let rules = "{rules: [{changes: [Any], groups: [GROUP]}], \
                  automation: ['system:serviceaccount:NAMESPACE:gitops']}";
    let team = Team::new("recipe", rules).await;
    let robot = team.account("gitops");
    let robot = KubeClient::as_user(&team.t.stage.kubeconfig, &robot, &[team.group("requesters")]).await;
    let git = Repository::new();
    let mut before = git.base.clone();
    for (author, partitions) in [(ALICE, 2), (ALICE, 3), (BOB, 4)] {
        git.change(author, "orders", &format!("{{partitions: {partitions}}}"));
        let (code, _, err) = git.set_author(&before, "HEAD");
        assert_eq!(code, 0, "{err}");
        before = git.git(&["rev-parse", "HEAD"]);
        let mut manifest = git.built("orders.yaml");
        manifest["metadata"]["namespace"] = team.t.namespace.clone().into();
        assert_accepted(&robot.write(&manifest, WriteMethod::Apply).await);
    }
    let requesters = team.requesters("orders").await;
    assert_eq!(requesters, format!("{} for {ALICE}, {BOB}", team.account("gitops")));
    for login in ["alice@shop.example", "bob"] {
        let answer = team.approver(login).await.create(&team.decision("orders", "Approve").await, "").await;
        assert_refused(&answer, Reason::ApprovalNotAllowed, "another person has to decide");
    }
    let carol = team.approver("carol").await;
    assert_accepted(&carol.create(&team.decision("orders", "Approve").await, "").await);
}
