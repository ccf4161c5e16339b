//! The room's promises on SQLite. `tests/real` has those on PostgreSQL.

// Tests count in whatever type is at hand.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub(crate) mod behaviour;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use behaviour::*;

fn open(folder: &Path) -> Store {
    Store::open(&StoreUrl::Sqlite(folder.join("data/eventcenter.db"))).expect("a store")
}

async fn prepared() -> (Store, TempDir) {
    let folder = TempDir::new().expect("a folder");
    let store = open(folder.path());
    store.migrate().await.expect("migrated");
    (store, folder)
}

macro_rules! behaviours {
    ($($name:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (store, _folder) = prepared().await;
                Box::pin(behaviour::$name(&store)).await;
            }
        )*
    };
}

behaviours! {
    many_write_one_log,
    filters_find_exactly_what_passes,
    a_long_search_goes_on_page_by_page,
    logs_are_apart,
    the_end_of_an_effect_is_found,
    proofs_hold,
    retention_leaves_what_can_be_verified,
    checkpoints_are_kept,
    unusual_texts_are_kept,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_one_file() {
    let (store, folder) = prepared().await;
    let same = open(folder.path());
    two_journals_write_one_log(&store, &same).await;
    migrating_again_changes_nothing(&store, &same).await;
}

#[tokio::test]
async fn those_who_start_together_migrate_once() {
    let folder = TempDir::new().expect("a folder");
    let stores: Vec<Store> = (0..4).map(|_| open(folder.path())).collect();
    let migrated = futures::future::join_all(stores.iter().map(Store::migrate)).await;
    migrated.into_iter().collect::<Result<Vec<()>, _>>().expect("all find the tables");
    write(&stores[0], &log("together"), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_survived() {
    let folders: Vec<TempDir> = (0..3).map(|_| TempDir::new().expect("a folder")).collect();
    without_a_database_the_policy_holds(&open(folders[0].path())).await;
    let spool = folders[1].path().join("spool");
    the_spool_keeps_what_the_database_cannot_take(&open(folders[1].path()), &spool).await;
    let spool = folders[2].path().join("spool");
    a_full_spool_refuses(&open(folders[2].path()), &spool).await;
}

#[tokio::test]
async fn what_is_written_stays_after_a_restart() {
    let (store, folder) = prepared().await;
    let log = log("restart");
    write(&store, &log, 300).await;
    store.close().await;
    assert!(store.ping(Duration::from_secs(1)).await.is_err(), "it is closed");
    let again = open(folder.path());
    assert_eq!(verify(&again, &log).await.size, 300);
    write(&again, &log, 300).await;
    assert_eq!(verify(&again, &log).await.size, 600);
}

#[tokio::test]
async fn nobody_else_reads_the_files() {
    let (store, folder) = prepared().await;
    write(&store, &log("modes"), 1).await;
    let mode = |path: &str| {
        std::fs::metadata(folder.path().join(path)).expect("it is there").permissions().mode() & 0o777
    };
    assert_eq!(mode("data"), 0o700);
    for file in [
        "data/eventcenter.db",
        "data/eventcenter.db-wal",
        "data/eventcenter.db-shm",
        "data/eventcenter.db.lock",
    ] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    std::fs::set_permissions(
        folder.path().join("data/eventcenter.db"),
        std::fs::Permissions::from_mode(0o644),
    )
    .expect("a mode");
    drop(open(folder.path()));
    assert_eq!(mode("data/eventcenter.db"), 0o600);
}

#[tokio::test]
async fn a_spool_has_one_process() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("spool");
    let _first = spool::Spool::open(&path, 1000).expect("a spool");
    assert!(matches!(spool::Spool::open(&path, 1000), Err(Error::File { .. })));
    assert_eq!(std::fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let (store, _folder) = prepared().await;
    let Database::Sqlite(sqlite) = &store.database else { panic!("it is SQLite") };
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'of later', true, x'00', 0)";
    sqlx::query(newer).execute(sqlite.writer()).await.expect("a row");
    let error = store.migrate().await.expect_err("it is newer");
    assert!(
        error.chain().contains("a newer version of eventcenter has used this database"),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let (store, folder) = prepared().await;
    let log = log("damaged");
    write(&store, &log, 1).await;
    let Database::Sqlite(sqlite) = &store.database else { panic!("it is SQLite") };
    sqlx::query("UPDATE audit_head SET size = 9").execute(sqlite.writer()).await.expect("a row");
    assert!(matches!(store.audit().head(&log).await, Err(Error::Damaged { .. })));
    // Others go on.
    let options = Options { patience: Duration::from_secs(2), ..required() };
    let writing = Writing::start(&store, options, noon);
    let recorder = writing.journal.recorder("webhook", false);
    let sound = behaviour::log("sound");
    let (damaged, sound) = tokio::join!(
        recorder.record(event(&log, "alice", "one")),
        recorder.record(event(&sound, "alice", "one"))
    );
    assert!(damaged.is_err());
    assert!(matches!(sound, Ok(Written::Durable(_))));
    writing.end().await;
    drop(folder);
    assert!(matches!(
        Store::open(&StoreUrl::Sqlite("/dev/null/eventcenter.db".into())),
        Err(Error::File { .. })
    ));
}

#[test]
fn a_url_shows_no_password() {
    for text in [
        "postgres://user:secret@db.example:5432/audit?sslmode=require&password=secret",
        "postgres://user:sec@ret@db.example:5432/audit",
        "postgresql://:secret@db.example/audit",
    ] {
        let url: StoreUrl = text.parse().expect("a URL");
        for shown in [url.to_string(), format!("{url:?}")] {
            assert!(!shown.contains("sec") && shown.contains("db.example"), "{shown}");
        }
    }
    assert_eq!("sqlite:/a/b.db".parse::<StoreUrl>().expect("a URL").to_string(), "sqlite:/a/b.db");
    assert!("mysql://a".parse::<StoreUrl>().is_err());
    assert!("sqlite:".parse::<StoreUrl>().is_err());
}
