use std::{
    env,
    io::{BufRead, BufReader, Read},
    net::TcpStream,
};

use super::{installation::newest, *};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + GRACE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {} s", GRACE.as_secs());
        thread::sleep(POLL);
    }
}

#[test]
fn data_survives_a_crash_and_a_stop() {
    let folder = folder();
    let mut server = Postgres::start(folder.path()).expect("the server starts");
    let url = server.create_database("things").expect("the database is created");
    assert_eq!(url, format!("postgres://eventcenter:eventcenter-secret@127.0.0.1:{}/things", server.port()));
    assert_eq!(server.sql("things", "SHOW fsync").expect("the server answers"), "on");

    server.sql("things", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)").expect("the statement succeeds");
    let before = server.processes().expect("the processes are listed");
    assert!(before.len() > 3, "{before:?}");
    server.kill().expect("the process is killed");
    assert!(before.iter().all(|process| !process.is_alive()), "all processes have ended");
    assert!(server.sql("things", "SELECT 1").is_err(), "no answer");

    server.start_again().expect("the server starts again");
    let log = fs::read_to_string(server.log()).expect("the server has a log");
    assert!(log.contains("was not properly shut down"), "{log}");
    server.sql("things", "INSERT INTO t VALUES (2)").expect("the statement succeeds");
    server.stop().expect("the server stops");
    server.start_again().expect("the server starts again");
    let rows = server.sql("things", "SELECT n, 2 * n FROM t ORDER BY n").expect("the server answers");
    assert_eq!(rows, "1|2\n2|4");
}

#[test]
fn a_paused_server_answers_after_it_continues() {
    let folder = folder();
    let mut server = Postgres::start(folder.path()).expect("the server starts");
    server.pause().expect("the server is paused");
    let begun = thread::scope(|threads| {
        let request = threads.spawn(|| {
            let mut client = TcpStream::connect(("127.0.0.1", server.port())).expect("the kernel accepts it");
            client.set_read_timeout(Some(Duration::from_millis(300))).expect("the timeout is set");
            // A request for TLS (its length and its number), which is answered with one byte.
            std::io::Write::write_all(&mut client, &[0, 0, 0, 8, 4, 210, 22, 47])
                .expect("the kernel accepts it");
            let mut answer = [0];
            (client.read_exact(&mut answer).is_err(), client)
        });
        request.join().expect("no panic")
    });
    let (silent, mut client) = begun;
    assert!(silent, "no answer while it is paused");
    server.resume();
    client.set_read_timeout(Some(GRACE)).expect("the timeout is set");
    let mut answer = [0];
    client.read_exact(&mut answer).expect("an answer after it continues");
    assert_eq!(server.sql("postgres", "SELECT 1").expect("the server answers"), "1");

    server.pause().expect("the server is paused");
    let all = server.processes().expect("the processes are listed");
    server.kill().expect("the process is killed");
    assert!(all.iter().all(|process| !process.is_alive()), "all processes have ended");
}

/// The test starts its own program as the parent that dies.
#[test]
fn a_server_dies_with_its_parent_even_if_it_is_paused() {
    const ROLE: &str = "EVENTCENTER_TEST_POSTGRES_IN";
    if let Some(folder) = env::var_os(ROLE) {
        let mut server = Postgres::start(Path::new(&folder)).expect("the server starts");
        let all = server.processes().expect("the processes are listed");
        server.pause().expect("the server is paused");
        println!("\nprocesses {}", serde_json::to_string(&all).expect("serializable data"));
        loop {
            thread::park();
        }
    }
    let folder = folder();
    let mut parent = Command::new(env::current_exe().expect("the path of this program"));
    parent.args(["--exact", "--nocapture"]);
    parent.arg("postgres::tests::a_server_dies_with_its_parent_even_if_it_is_paused");
    parent.env(ROLE, folder.path()).stdout(Stdio::piped());
    let mut parent = parent.spawn().expect("the program starts");
    let lines = BufReader::new(parent.stdout.take().expect("standard output is piped")).lines();
    let found =
        lines.map_while(Result::ok).find_map(|line| line.strip_prefix("processes ").map(str::to_owned));
    parent.kill().expect("the process is killed");
    parent.wait().expect("the process has ended");
    let all: Vec<Identity> =
        serde_json::from_str(&found.expect("a line with the processes")).expect("valid JSON");
    assert!(all.len() > 3, "{all:?}");
    wait_until("they end", || all.iter().all(|process| !process.is_alive()));
}

#[test]
fn the_newest_complete_version_is_used() {
    let folder = folder();
    let put = |version: &str, names: &[&str]| {
        let programs = folder.path().join(version).join("bin");
        fs::create_dir_all(&programs).expect("the folder is created");
        names.iter().for_each(|name| fs::write(programs.join(name), "").expect("the file is written"));
    };
    let found =
        || newest(folder.path()).map(|path| path.parent().and_then(Path::file_name).map(ToOwned::to_owned));
    let all = ["initdb", "postgres", "psql"];
    put("9", &all);
    put("14", &all);
    put("17", &["psql"]);
    put("common", &all);
    assert_eq!(found(), None);
    put("15", &all);
    put("16", &all);
    assert_eq!(found(), Some(Some("16".into())));
    assert_eq!(newest(&folder.path().join("nothing")), None);
}

#[test]
fn root_is_no_unprivileged_user() {
    let users =
        "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65533::/:/sbin/nologin\nodd:x:0:0::/:/bin/sh\n";
    assert_eq!(user(users, "nobody"), Some(User { uid: 65534, gid: 65533 }));
    assert_eq!(user(users, "odd"), None);
    assert_eq!(user(users, "postgres"), None);
    assert_eq!(user(users, "no"), None);
}
