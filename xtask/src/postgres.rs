//! A PostgreSQL server from Debian's package: on loopback, with its data in a folder of the caller.
//!
//! PostgreSQL does not run as root. If this process does, the server runs as `postgres`, or as `nobody` if there is no such
//! user.
//!
//! It dies with the process that started it: the kernel sends SIGQUIT to its first process (an immediate shutdown, which
//! leaves no shared memory behind), and that process ends the others.

pub(crate) mod installation;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::{
    console::Console,
    paths, port,
    prerequisites::{self, Tool},
    process::{self, Service},
    procfs::Identity,
};

const READY: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// The owner of the databases, with the password.
pub const USER: (&str, &str) = ("eventcenter", "eventcenter-secret");

/// The superuser, with the password.
pub const ADMIN: (&str, &str) = ("admin", "admin-secret");

/// A database server. Dropping it ends it; its folder stays.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<User>,
    port: u16,
    service: Option<Service>,
    pause: Option<Pause>,
}

/// A user other than root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

impl Postgres {
    /// Creates a database cluster in the folder and starts it. Returns when it accepts connections. Installs the package if
    /// it is missing and this process may.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, &[])
    }

    /// The same with further settings of `postgresql.conf`, which override the defaults of this module.
    pub fn start_with(folder: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let programs = installed()?;
        fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let user = if rustix::process::geteuid().is_root() { Some(unprivileged()?) } else { None };
        if user.is_some() {
            allow_traversal(&folder)?;
        }
        port::retry_if_taken(|| {
            let data = folder.join("data");
            if data.exists() {
                fs::remove_dir_all(&data)?;
            }
            let mut server = Self {
                programs: programs.clone(),
                folder: folder.clone(),
                user,
                port: port::free()?,
                service: None,
                pause: None,
            };
            server.make(settings)?;
            server.launch()?;
            let (name, password) = USER;
            server.sql("postgres", &format!("CREATE ROLE {name} LOGIN PASSWORD '{password}'"))?;
            Ok(server)
        })
        .context("PostgreSQL does not start")
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A command for one of its programs, as the server's user. Its first process dies with this one.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(process::KILL_WITH_PARENT[0]);
        command.args(["--pdeathsig", "QUIT"]);
        if let Some(User { uid, gid }) = self.user {
            command.args(["--reuid", &uid.to_string(), "--regid", &gid.to_string(), "--clear-groups"]);
        }
        command.arg("--").arg(self.programs.join(name));
        command.env("LC_ALL", "C").env("TZ", "UTC").current_dir(&self.folder);
        command
    }

    fn make(&self, settings: &[(&str, &str)]) -> Result<()> {
        let data = self.data();
        let (admin, password) = ADMIN;
        let password_file = self.folder.join("password");
        fs::create_dir(&data)?;
        fs::write(&password_file, password)?;
        if let Some(User { uid, gid }) = self.user {
            chown(&data, Some(uid), Some(gid))?;
            chown(&password_file, Some(uid), Some(gid))?;
        }
        let mut initdb = self.program("initdb");
        initdb.arg("--pgdata").arg(&data).arg("--pwfile").arg(&password_file);
        initdb.args(["--username", admin, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C"]);
        // Only a crash of the machine could lose the files.
        initdb.arg("--no-sync");
        process::run(initdb)?;
        fs::remove_file(password_file)?;

        let port = self.port.to_string();
        let ours = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port),
            ("unix_socket_directories", ""),
            ("fsync", "on"),
            ("shared_buffers", "64MB"),
            ("max_connections", "50"),
            // In the folder, so that nothing remains in /dev/shm after a crash.
            ("dynamic_shared_memory_type", "mmap"),
        ];
        let configuration = data.join("postgresql.conf");
        let mut text = fs::read_to_string(&configuration)?;
        // The last of several lines about one setting counts.
        for (name, value) in ours.iter().chain(settings) {
            text.push_str(&format!("{name} = '{value}'\n"));
        }
        fs::write(configuration, text)?;
        Ok(())
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = self.program("postgres");
        command.arg("-D").arg(self.data());
        let mut service = Service::start("PostgreSQL", command, &self.log())?;
        service.wait_ready(READY, |service| {
            let ready = service.output()?.contains("database system is ready to accept connections");
            Ok(ready.then_some(()))
        })?;
        self.service = Some(service);
        Ok(())
    }

    /// Creates a database of [`USER`]. Returns its URL.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.sql("postgres", &format!("CREATE DATABASE \"{name}\" OWNER {}", USER.0))?;
        Ok(self.url(name))
    }

    /// Restarts it so that it accepts only TLS, with this certificate and key (PEM).
    pub fn encrypt(&mut self, certificate: &str, key: &str) -> Result<()> {
        self.stop()?;
        let data = self.data();
        for (name, text) in [("server.crt", certificate), ("server.key", key)] {
            let file = data.join(name);
            fs::write(&file, text)?;
            // PostgreSQL refuses a key that other users may read.
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
            if let Some(User { uid, gid }) = self.user {
                chown(&file, Some(uid), Some(gid))?;
            }
        }
        let configuration = data.join("postgresql.conf");
        let text = fs::read_to_string(&configuration)?;
        fs::write(configuration, text + "ssl = 'on'\n")?;
        fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 scram-sha-256\n")?;
        self.start_again()
    }

    /// The URL of a database for [`USER`].
    pub fn url(&self, database: &str) -> String {
        let (name, password) = USER;
        format!("postgres://{name}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL as [`ADMIN`], several statements in one transaction. Returns the rows as `a|b` lines.
    pub fn sql(&self, database: &str, statements: &str) -> Result<String> {
        let mut psql = process::child_command(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--host", "127.0.0.1", "--port", &self.port.to_string(), "--username", ADMIN.0]);
        psql.args(["--dbname", database, "--command", statements]);
        psql.env("PGPASSWORD", ADMIN.1).env("LC_ALL", "C").current_dir(&self.folder);
        Ok(process::run(psql)?.trim_end().to_owned())
    }

    /// The port on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The file with its output.
    pub fn log(&self) -> PathBuf {
        self.folder.join("postgres.log")
    }

    /// The version, such as `15.14`.
    pub fn version(&self) -> Result<String> {
        let text = self.sql("postgres", "SHOW server_version")?;
        Ok(text.split(' ').next().unwrap_or_default().to_owned())
    }

    /// Identifies its first process, while it runs.
    pub fn identity(&self) -> Option<&Identity> {
        self.service.as_ref().map(Service::identity)
    }

    /// Its processes at this moment: the first one, one for each connection, and the background workers.
    pub fn processes(&self) -> Result<Vec<Identity>> {
        let Some(first) = self.identity() else { return Ok(Vec::new()) };
        let mut all = vec![first.clone()];
        all.extend(first.children()?);
        Ok(all)
    }

    /// Shuts it down without waiting for its clients (a fast shutdown). The data stays.
    pub fn stop(&mut self) -> Result<()> {
        self.resume();
        let Some(service) = self.service.take() else { return Ok(()) };
        // SIGTERM alone would wait for all clients to disconnect; after SIGINT it changes nothing.
        service.signal(Signal::INT)?;
        service.stop(GRACE).map(drop)
    }

    /// Kills all its processes with SIGKILL, as a crash would end them. The data stays.
    pub fn kill(&mut self) -> Result<()> {
        let Some(service) = self.service.take() else { return Ok(()) };
        // A stopped process starts no further children.
        service.signal(Signal::STOP)?;
        let children = service.identity().children()?;
        for child in &children {
            child.signal(Signal::KILL)?;
        }
        service.kill()?;
        // PostgreSQL refuses to start while a process holds the old shared memory.
        let deadline = Instant::now() + GRACE;
        while children.iter().any(Identity::is_alive) {
            if Instant::now() >= deadline {
                bail!("processes of PostgreSQL still run after SIGKILL");
            }
            thread::sleep(POLL);
        }
        self.pause = None;
        Ok(())
    }

    /// Starts it again on the same port and data after [`stop`](Self::stop) or [`kill`](Self::kill).
    pub fn start_again(&mut self) -> Result<()> {
        if self.service.is_some() {
            return Ok(());
        }
        self.launch().context("PostgreSQL does not start again")
    }

    /// Stops all its processes (SIGSTOP): connections stay open and no query is answered.
    pub fn pause(&mut self) -> Result<()> {
        if self.pause.is_none() && self.service.is_some() {
            // The first process first: a stopped process starts no further ones.
            self.service.as_ref().map_or(Ok(()), |service| service.signal(Signal::STOP))?;
            let all = self.processes()?;
            self.pause = Some(Pause::begin(&all)?);
            for process in &all {
                process.signal(Signal::STOP)?;
            }
        }
        Ok(())
    }

    /// Continues it after [`pause`](Self::pause).
    pub fn resume(&mut self) {
        self.pause = None;
    }

    /// An immediate shutdown, which releases the shared memory.
    fn quit(&mut self) -> Result<()> {
        self.resume();
        let Some(service) = self.service.take() else { return Ok(()) };
        service.signal(Signal::QUIT)?;
        service.stop(GRACE).map(drop)
    }

    /// Removes the shared memory that a killed server has left behind.
    fn release(&self) {
        let left = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        if let Some(id) = left.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
            let mut remove = Command::new("ipcrm");
            remove.args(["-m", id]).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = remove.status();
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Without its first process the others end as well.
        let _ = self.quit();
        self.release();
    }
}

/// A process that continues the stopped processes, also if this process dies in between.
#[derive(Debug)]
struct Pause(Child);

impl Pause {
    fn begin(processes: &[Identity]) -> Result<Self> {
        let mut guard = Command::new("sh");
        guard.args(["-c", "read _; kill -CONT \"$@\" 2>/dev/null", "sh"]);
        guard.args(processes.iter().map(|process| process.pid.to_string()));
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(process::spawn(guard).context("cannot start `sh`")?))
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        // It waits for the end of its input, which also comes when this process dies.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The folder of the programs of the newest version. Installs the package if it is missing and this process may.
fn installed() -> Result<PathBuf> {
    static ONE: Mutex<()> = Mutex::new(());
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(found) = FOUND.get() {
        return Ok(found.clone());
    }
    let console = Console::stderr();
    prerequisites::ensure(&[Tool::Postgres, Tool::Setpriv], &paths::repository()?, &console)?;
    let found = installation::find().context("PostgreSQL was removed during the check")?;
    Ok(FOUND.get_or_init(|| found).clone())
}

fn unprivileged() -> Result<User> {
    let users = fs::read_to_string("/etc/passwd").context("reading the users of this machine")?;
    ["postgres", "nobody"]
        .iter()
        .find_map(|name| user(&users, name))
        .context("PostgreSQL does not run as root: create a user postgres or nobody")
}

/// The user of that name in the text of `/etc/passwd`, unless it is root.
fn user(users: &str, name: &str) -> Option<User> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut numbers = line.split(':').skip(2);
    let user = User { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? };
    (user.uid != 0).then_some(user)
}

/// Gives other users the right to traverse the folder, and its ancestors in the temporary folder, without listing them.
fn allow_traversal(folder: &Path) -> Result<()> {
    const TRAVERSE: u32 = 0o001;
    let temporary = std::env::temp_dir().canonicalize()?;
    for above in folder.ancestors() {
        let metadata = above.metadata()?;
        if metadata.mode() & TRAVERSE == TRAVERSE {
            continue;
        }
        if above != folder && (above == temporary || !above.starts_with(&temporary)) {
            bail!(
                "PostgreSQL's user may not traverse {}: set TMPDIR to a folder that every user may traverse",
                above.display()
            );
        }
        fs::set_permissions(above, fs::Permissions::from_mode(metadata.mode() & 0o7777 | TRAVERSE))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
