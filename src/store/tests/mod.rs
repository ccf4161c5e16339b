//! Behaviour with SQLite. `tests/real` covers PostgreSQL.

// Tests convert small numbers.
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]

pub(crate) mod behaviour;
mod v0;

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
    many_writers_write_one_log,
    filters_find_all_matching_records,
    a_long_search_takes_several_pages,
    logs_are_isolated,
    a_completion_is_found,
    proofs_are_valid,
    a_log_verifies_after_the_retention,
    checkpoints_are_stored,
    unusual_texts_are_stored,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_one_file() {
    let (store, folder) = prepared().await;
    let same = open(folder.path());
    two_journals_write_one_log(&store, &same).await;
    migrating_again_has_no_effect(&store, &same).await;
}

#[tokio::test]
async fn concurrent_migrations_succeed() {
    let folder = TempDir::new().expect("a folder");
    let stores: Vec<Store> = (0..4).map(|_| open(folder.path())).collect();
    let migrated = futures::future::join_all(stores.iter().map(Store::migrate)).await;
    migrated.into_iter().collect::<Result<Vec<()>, _>>().expect("all succeed");
    write(&stores[0], &log("together"), 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_survived() {
    let folders: Vec<TempDir> = (0..3).map(|_| TempDir::new().expect("a folder")).collect();
    the_policy_decides_during_an_outage(&open(folders[0].path())).await;
    let spool = folders[1].path().join("spool");
    the_spool_survives_an_outage(&open(folders[1].path()), &spool).await;
    let spool = folders[2].path().join("spool");
    a_full_spool_refuses(&open(folders[2].path()), &spool).await;
}

#[tokio::test]
async fn records_survive_a_restart() {
    let (store, folder) = prepared().await;
    let log = log("restart");
    write(&store, &log, 300).await;
    store.close().await;
    assert!(store.ping(Duration::from_secs(1)).await.is_err(), "closed");
    let reopened = open(folder.path());
    assert_eq!(verify(&reopened, &log).await.size, 300);
    write(&reopened, &log, 300).await;
    assert_eq!(verify(&reopened, &log).await.size, 600);
}

#[tokio::test]
async fn files_are_private() {
    let (store, folder) = prepared().await;
    write(&store, &log("modes"), 1).await;
    let mode = |path: &str| {
        std::fs::metadata(folder.path().join(path)).expect("a file").permissions().mode() & 0o777
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
async fn a_spool_is_locked() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("spool");
    let _first = spool::Spool::open(&path, 1000).expect("a spool");
    assert!(matches!(spool::Spool::open(&path, 1000), Err(Error::File { .. })));
    assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_rejected() {
    let (store, _folder) = prepared().await;
    let Database::Sqlite(sqlite) = &store.database else { panic!("not SQLite") };
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (9999, 'later', true, x'00', 0)";
    sqlx::query(newer).execute(sqlite.writer()).await.expect("a row");
    let error = store.migrate().await.expect_err("a newer version");
    assert!(
        error.chain().contains("the database was migrated by a newer version of eventcenter"),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn corrupt_values_are_errors() {
    let (store, folder) = prepared().await;
    let log = log("corrupt");
    write(&store, &log, 1).await;
    let Database::Sqlite(sqlite) = &store.database else { panic!("not SQLite") };
    sqlx::query("UPDATE audit_head SET size = 9").execute(sqlite.writer()).await.expect("a row");
    assert!(matches!(store.audit().read_head(&log).await, Err(Error::Corrupt { .. })));
    // Other logs are not affected.
    let options = Options { timeout: Duration::from_secs(2), ..required() };
    let running = RunningJournal::start(&store, options, noon);
    let recorder = running.journal.recorder("webhook");
    let intact = behaviour::log("intact");
    let (corrupt, intact) = tokio::join!(
        recorder.record(event(&log, "alice", "one")),
        recorder.record(event(&intact, "alice", "one"))
    );
    assert!(corrupt.is_err());
    assert!(matches!(intact, Ok(WriteOutcome::Durable(_))));
    running.stop().await;
    drop(folder);
    assert!(matches!(
        Store::open(&StoreUrl::Sqlite("/dev/null/eventcenter.db".into())),
        Err(Error::File { .. })
    ));
}

#[test]
fn a_url_hides_its_password() {
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
