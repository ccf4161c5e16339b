//! The programs and libraries that must be installed on the machine.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Result, bail};

use crate::{console::Console, postgres::installation, process};

/// A program or library that must be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Compiles the control plane and kubectl.
    Go,
    /// Runs Kafka.
    Java,
    /// Fetches Kafka.
    Maven,
    /// Compiles the C libraries in the operator (librdkafka, zstd, aws-lc).
    CCompiler,
    /// librdkafka is built by make.
    Make,
    /// Finds OpenSSL.
    PkgConfig,
    /// librdkafka's TLS.
    OpenSsl,
    /// Makes children die with their parent.
    Setpriv,
    /// The database of the audit log.
    Postgres,
}

const GO: (u32, u32) = (1, 26);
const JAVA: u32 = 17;

impl Tool {
    /// The tools that build the operator and its tests.
    pub const BUILD: [Self; 5] = [Self::CCompiler, Self::Make, Self::PkgConfig, Self::OpenSsl, Self::Setpriv];

    /// The reason why the tool cannot be used; `None` if it can.
    fn problem(self, repository: &Path) -> Option<String> {
        let missing = |name: &str| (!on_path(name)).then(|| format!("{name} is not installed"));
        match self {
            Self::Go => missing("go").or_else(|| {
                // In that folder, because a newer Go fetches the version that its go.mod requires.
                let text = output(
                    Command::new("go").arg("version").current_dir(repository.join("dev/controlplane")),
                );
                let old = go_version(&text).is_none_or(|version| version < GO);
                old.then(|| {
                    format!(
                        "Go {}.{} or newer is needed, but `go version` prints: {}",
                        GO.0,
                        GO.1,
                        text.trim()
                    )
                })
            }),
            Self::Java => missing("java").or_else(|| {
                let text = output(Command::new("java").arg("-version"));
                let old = java_version(&text).is_none_or(|version| version < JAVA);
                let first = text.lines().next().unwrap_or_default();
                old.then(|| format!("Java {JAVA} or newer is needed, but `java -version` prints: {first}"))
            }),
            Self::Maven => missing("mvn"),
            Self::CCompiler => missing("cc").or_else(|| missing("c++")),
            Self::Make => missing("make"),
            Self::PkgConfig => missing("pkg-config"),
            Self::OpenSsl => {
                let found = Command::new("pkg-config").args(["--exists", "openssl"]).status();
                let found = found.is_ok_and(|status| status.success());
                (!found).then(|| "the headers of OpenSSL are not installed".to_owned())
            }
            Self::Setpriv => missing("setpriv"),
            // Debian's package does not put it on the path.
            Self::Postgres => {
                installation::find().is_none().then(|| "PostgreSQL 15 or newer is not installed".to_owned())
            }
        }
    }

    fn debian_package(self) -> Option<&'static str> {
        match self {
            Self::Go => None,
            Self::Java => Some("default-jre-headless"),
            Self::Maven => Some("maven"),
            Self::CCompiler | Self::Make => Some("build-essential"),
            Self::PkgConfig => Some("pkg-config"),
            Self::OpenSsl => Some("libssl-dev"),
            Self::Setpriv => Some("util-linux"),
            Self::Postgres => Some("postgresql"),
        }
    }

    fn remedy(self) -> String {
        match self.debian_package() {
            Some(package) => format!("on Debian: apt-get install {package}"),
            None => format!(
                "get Go {}.{} or newer from https://go.dev/dl/, unpack it (tar -C /usr/local -xzf go….tar.gz) \
                 and put its bin folder on the PATH",
                GO.0, GO.1
            ),
        }
    }
}

/// Ensures that the tools are installed. On Debian as root it installs the missing packages; otherwise the error contains
/// a remedy for each tool.
pub fn ensure(tools: &[Tool], repository: &Path, console: &Console) -> Result<()> {
    let missing = |tools: &[Tool]| -> Vec<(Tool, String)> {
        let once =
            tools.iter().enumerate().filter(|(at, tool)| !tools[..*at].contains(tool)).map(|(_, tool)| tool);
        once.filter_map(|tool| Some((*tool, tool.problem(repository)?))).collect()
    };
    let mut problems = missing(tools);
    let mut packages: Vec<&str> = problems.iter().filter_map(|(tool, _)| tool.debian_package()).collect();
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() && may_install() {
        install(&packages, console)?;
        problems = missing(tools);
    }
    if problems.is_empty() { Ok(()) } else { bail!(render(&problems)) }
}

fn render(problems: &[(Tool, String)]) -> String {
    let lines = problems.iter().map(|(tool, problem)| format!("\n  {problem}\n    {}", tool.remedy()));
    format!("missing on this machine:{}", lines.collect::<String>())
}

fn may_install() -> bool {
    rustix::process::geteuid().is_root() && Path::new("/etc/debian_version").exists() && on_path("apt-get")
}

fn install(packages: &[&str], console: &Console) -> Result<()> {
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        process::run(command)
    };
    console.run(&format!("Installing Debian packages: {}", packages.join(", ")), |task| {
        task.detail("apt-get update");
        apt(&["-q", "update"])?;
        task.detail("apt-get install");
        let mut arguments = vec!["-q", "install", "-y", "--no-install-recommends"];
        arguments.extend(packages);
        apt(&arguments)?;
        Ok(())
    })
}

/// Whether the PATH has a program of that name.
pub fn on_path(program: &str) -> bool {
    find_on_path(program).is_some()
}

/// The path of the program of that name.
pub fn find_on_path(program: &str) -> Option<std::path::PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let runs =
        |file: &Path| fs::metadata(file).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|file| runs(file))
}

fn output(command: &mut Command) -> String {
    match command.output() {
        Ok(output) => String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        Err(error) => error.to_string(),
    }
}

fn go_version(text: &str) -> Option<(u32, u32)> {
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("go1."))?;
    let minor: String = version.chars().take_while(char::is_ascii_digit).collect();
    Some((1, minor.parse().ok()?))
}

fn java_version(text: &str) -> Option<u32> {
    let version = text.split('"').nth(1)?;
    let mut numbers = version.split(['.', '-', '+', '_']);
    match numbers.next()?.parse().ok()? {
        1 => numbers.next()?.parse().ok(),
        major => Some(major),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_parsed() {
        assert_eq!(go_version("go version go1.26.8 linux/amd64"), Some((1, 26)));
        assert_eq!(go_version("go version go1.27rc1 linux/arm64"), Some((1, 27)));
        assert_eq!(go_version("go: no such tool"), None);
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(java_version("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(java_version("java version \"1.8.0_402\""), Some(8));
        assert_eq!(java_version("not found"), None);
    }

    #[test]
    fn each_missing_tool_has_a_remedy() {
        let text = render(&[
            (Tool::Java, "java is not installed".into()),
            (Tool::Go, "Go 1.26 or newer is needed, but `go version` prints: go1.19".into()),
        ]);
        assert!(text.contains("apt-get install default-jre-headless"), "{text}");
        assert!(text.contains("https://go.dev/dl/"), "{text}");
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(on_path("sh"));
        assert!(!on_path("no-such-program-anywhere"));
    }
}
