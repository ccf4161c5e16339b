//! The programs of the environment, downloaded or compiled into the [cache](crate::cache) on first use.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::{
    cache::{Cache, Key},
    console::{Console, Task},
    interrupt,
    prerequisites::{self, Tool},
    process,
};

/// kubectl refuses to trust a server or itself without a version.
const LDFLAGS: &str = "-s -w -X k8s.io/component-base/version.gitVersion=v1.35.4 \
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35 \
    -X k8s.io/component-base/version.gitTreeState=clean";

/// Makes artefacts. The environment variables `KAFKA_LIBS`, `CONTROLPLANE_BIN` and `KUBECTL` name existing ones instead.
pub struct Artefacts {
    repository: PathBuf,
    cache: Cache,
    console: Console,
}

impl Artefacts {
    /// From this repository, in the user's cache.
    pub fn new(repository: &Path, console: &Console) -> Result<Self> {
        Ok(Self { repository: repository.to_owned(), cache: Cache::of_user()?, console: console.clone() })
    }

    /// The tools that run Kafka and that make the artefacts which are not in the cache: all at once, so that one error
    /// lists everything to install.
    pub fn tools(&self, control_plane: bool) -> Result<Vec<Tool>> {
        let mut tools = vec![Tool::Java, Tool::Setpriv];
        if given("KAFKA_LIBS").is_none() && self.cache.find("kafka", &self.kafka_key()?.1).is_none() {
            tools.push(Tool::Maven);
        }
        let lacks =
            |name, variable, key: &Key| given(variable).is_none() && self.cache.find(name, key).is_none();
        let go = control_plane
            && (lacks("controlplane", "CONTROLPLANE_BIN", &self.control_plane_key()?)
                || lacks("kubectl", "KUBECTL", &self.kubectl_key()?));
        if go {
            tools.extend([Tool::Go, Tool::CCompiler]);
        }
        Ok(tools)
    }

    fn kafka_key(&self) -> Result<(PathBuf, Key)> {
        let source = self.repository.join("dev/kafka");
        let pom = source.join("pom.xml");
        let key = Key::of(&source, std::slice::from_ref(&pom), &[])?;
        Ok((pom, key))
    }

    fn control_plane_key(&self) -> Result<Key> {
        let source = self.source()?;
        let mut files = Vec::new();
        go_files(&source, &mut files)?;
        Key::of(&source, &files, &[LDFLAGS])
    }

    fn kubectl_key(&self) -> Result<Key> {
        let source = self.source()?;
        Key::of(&source, &[source.join("go.mod"), source.join("go.sum")], &[LDFLAGS])
    }

    /// The folder with Kafka's jars.
    pub fn kafka_libs(&self) -> Result<PathBuf> {
        if let Some(folder) = given("KAFKA_LIBS") {
            return Ok(folder);
        }
        let (pom, key) = self.kafka_key()?;
        let folder = match self.cache.find("kafka", &key) {
            Some(folder) => folder,
            None => {
                prerequisites::ensure(
                    &[Tool::Java, Tool::Maven, Tool::Setpriv],
                    &self.repository,
                    &self.console,
                )?;
                self.cache.get(&self.console, "kafka", &key, |folder| self.fetch_kafka(&pom, folder))?
            }
        };
        Ok(folder.join("libs"))
    }

    fn fetch_kafka(&self, pom: &Path, folder: &Path) -> Result<()> {
        self.console.run("Downloading Kafka with Maven (once, about 50 MB)", |task| {
            fs::copy(pom, folder.join("pom.xml"))?;
            let libs = folder.join("libs");
            let mut maven = process::child_command("mvn");
            maven.args(["-q", "-B", "dependency:copy-dependencies"]);
            maven.arg(format!("-DoutputDirectory={}", libs.display())).current_dir(folder);
            maven.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            task.detail("mvn dependency:copy-dependencies");
            process::run(maven).context(
                "Maven could not download Kafka; is Maven Central, or a mirror in settings.xml, reachable?",
            )?;
            if fs::read_dir(&libs).map_or(0, Iterator::count) == 0 {
                bail!("Maven succeeded but left no jars in {}", libs.display());
            }
            Ok(())
        })
    }

    /// The control plane: etcd, kube-apiserver, kube-controller-manager and a node in one program.
    pub fn control_plane(&self) -> Result<PathBuf> {
        if let Some(program) = given("CONTROLPLANE_BIN") {
            return Ok(program);
        }
        let key = self.control_plane_key()?;
        let title = "Compiling the Kubernetes control plane (about 9 minutes the first time, seconds later)";
        self.go("controlplane", ".", title, &key)
    }

    /// kubectl of the same version.
    pub fn kubectl(&self) -> Result<PathBuf> {
        if let Some(program) = given("KUBECTL") {
            return Ok(program);
        }
        let key = self.kubectl_key()?;
        self.go(
            "kubectl",
            "k8s.io/kubernetes/cmd/kubectl",
            "Compiling kubectl (about a minute the first time)",
            &key,
        )
    }

    fn source(&self) -> Result<PathBuf> {
        let source = self.repository.join("dev/controlplane");
        if !source.join("go.mod").is_file() {
            bail!("{} is missing: this checkout is incomplete", source.join("go.mod").display());
        }
        Ok(source)
    }

    fn go(&self, name: &str, package: &str, title: &str, key: &Key) -> Result<PathBuf> {
        let folder = match self.cache.find(name, key) {
            Some(folder) => folder,
            None => {
                prerequisites::ensure(
                    &[Tool::Go, Tool::CCompiler, Tool::Setpriv],
                    &self.repository,
                    &self.console,
                )?;
                let source = self.source()?;
                self.cache.get(&self.console, name, key, |folder| {
                    let packages = self.console.run("Downloading Kubernetes' Go modules", |_| {
                        let mut list = process::child_command("go");
                        list.args(["list", "-deps", package]).current_dir(&source);
                        let list = process::run(list).context("is the Go module proxy reachable?")?;
                        Ok(list.lines().count())
                    })?;
                    self.console
                        .run(title, |task| compile(&source, package, &folder.join(name), packages, task))
                })?
            }
        };
        Ok(folder.join(name))
    }
}

/// `go build -v` prints every package that it compiles, but not those that it compiled earlier.
fn compile(source: &Path, package: &str, program: &Path, packages: usize, task: &Task) -> Result<()> {
    let mut go = process::child_command("go");
    // No flag that changes how packages are compiled: `go vet` and `go test` then use the same compiled packages.
    go.args(["build", "-v", "-ldflags", LDFLAGS, "-o"]).arg(program).arg(package);
    go.current_dir(source).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = process::spawn(go).context("cannot start go")?;
    let mut other = Vec::new();
    let mut done = 0;
    if let Some(stderr) = child.stderr.take() {
        for line in BufReader::new(stderr).lines() {
            let line = line?;
            if line.contains(' ') || line.starts_with('#') {
                other.push(line);
            } else {
                done += 1;
                task.detail(&format!("{done} of at most {packages} packages"));
            }
            if interrupt::requested() {
                break;
            }
        }
    }
    let status = process::wait(&mut child)?;
    if !status.success() {
        bail!("`go build {package}` failed ({status}):\n{}", process::last_lines(&other.join("\n"), 30));
    }
    Ok(())
}

fn given(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists())
}

fn go_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type()?.is_dir() {
            go_files(&path, files)?;
        } else if !name.ends_with("_test.go")
            && (name.ends_with(".go") || name == "go.mod" || name == "go.sum")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// The class path of Kafka's jars, and commands for Kafka's own Java programs.
#[derive(Debug, Clone)]
pub struct KafkaLibs {
    folder: PathBuf,
    settings: PathBuf,
}

impl KafkaLibs {
    /// The jars in this folder, with the properties and logging settings of the repository.
    pub fn new(folder: &Path, repository: &Path) -> Self {
        Self { folder: folder.to_owned(), settings: repository.join("dev/kafka") }
    }

    /// The folder of the jars.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A file of `dev/kafka`.
    pub fn setting(&self, name: &str) -> PathBuf {
        self.settings.join(name)
    }

    /// A Java program of Kafka, with the heap in MiB and one of the logging settings.
    pub fn java(&self, class: &str, heap: u32, logging: &str) -> Command {
        let mut java = process::child_command("java");
        java.args(self.java_arguments(heap, logging)).arg(class);
        java
    }

    /// One of Kafka's command line tools.
    pub fn tool(&self, class: &str) -> Command {
        self.java(class, 256, "tool-log4j2.yaml")
    }

    fn java_arguments(&self, heap: u32, logging: &str) -> Vec<String> {
        vec![
            format!("-Xmx{heap}m"),
            "-XX:+UseSerialGC".to_owned(),
            "-XX:TieredStopAtLevel=1".to_owned(),
            "-Djava.awt.headless=true".to_owned(),
            format!("-Dlog4j2.configurationFile={}", self.setting(logging).display()),
            "-cp".to_owned(),
            format!("{}/*", self.folder.display()),
        ]
    }

    /// Writes small scripts with the names that Kafka's distribution uses.
    pub fn write_scripts(&self, folder: &Path) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        const TOOLS: [(&str, &str); 6] = [
            ("kafka-topics", "org.apache.kafka.tools.TopicCommand"),
            ("kafka-configs", "kafka.admin.ConfigCommand"),
            ("kafka-acls", "org.apache.kafka.tools.AclCommand"),
            ("kafka-consumer-groups", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"),
            ("kafka-console-producer", "org.apache.kafka.tools.ConsoleProducer"),
            ("kafka-console-consumer", "org.apache.kafka.tools.consumer.ConsoleConsumer"),
        ];
        for (name, class) in TOOLS {
            let arguments: Vec<String> = self
                .java_arguments(256, "tool-log4j2.yaml")
                .iter()
                .map(|argument| crate::env_file::quote_if_needed(argument))
                .collect();
            let file = folder.join(name);
            fs::write(&file, format!("#!/bin/sh\nexec java {} {class} \"$@\"\n", arguments.join(" ")))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}
