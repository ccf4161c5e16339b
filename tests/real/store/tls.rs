//! PostgreSQL with TLS.

use std::sync::Arc;

use anyhow::Result;
use eventcenter::store::{Store, StoreUrl};
use parking_lot::Mutex;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use sqlx::{ConnectOptions, Row};
use tempfile::TempDir;
use tokio::task::block_in_place;
use xtask::environment::temporary_folder;
use xtask::postgres::{Postgres, USER};

use super::database::TestDatabase;
use super::journal::{TestJournal, event, log, options, verify};

/// Creates a certificate authority, and writes its certificate to a file for clients.
fn authority(folder: &TempDir, name: &str) -> Result<(CertifiedIssuer<'static, KeyPair>, String)> {
    let mut parameters = CertificateParams::new(Vec::new())?;
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
    let file = folder.path().join(name);
    std::fs::write(&file, authority.pem())?;
    Ok((authority, file.display().to_string()))
}

/// Opens a database, and writes and verifies a record.
async fn open_and_write(url: &str) -> Result<()> {
    let store = Store::open(&url.parse::<StoreUrl>()?)?;
    store.migrate().await?;
    let journal = TestJournal::start(&store, options("a"))?;
    journal.record(event(&log("acme"), 1)).await?;
    journal.stop().await?;
    verify(&store.audit(), &log("acme"), &[]).await?.expect("no finding");
    store.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_reached_by_tls_with_a_valid_certificate_only() -> Result<()> {
    let folder = temporary_folder()?;
    let (issuer, trusted) = authority(&folder, "trusted.pem")?;
    let (_, strange) = authority(&folder, "strange.pem")?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["127.0.0.1".into()])?.signed_by(&key, &issuer)?;
    let server = block_in_place(|| -> Result<Postgres> {
        let mut server = Postgres::start(&folder.path().join("postgres"))?;
        server.encrypt(&certificate.pem(), &key.serialize_pem())?;
        Ok(server)
    })?;
    let database = TestDatabase::on_server(Arc::new(Mutex::new(server)))?;
    let url = database.url_text();

    open_and_write(&format!("{url}?sslmode=verify-full&sslrootcert={trusted}")).await?;
    // Without parameters in the URL.
    open_and_write(&url).await?;
    let options: sqlx::postgres::PgConnectOptions = url.parse()?;
    let row = sqlx::query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(&mut options.connect().await?)
        .await?;
    assert!(row.try_get::<bool, _>(0)?, "the connection is encrypted");

    for (parameters, expected) in [
        (format!("sslmode=verify-full&sslrootcert={strange}"), "certificate"),
        ("sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned(), "/nowhere.pem"),
        ("sslmode=disable".to_owned(), "no encryption"),
    ] {
        let error = open_and_write(&format!("{url}?{parameters}")).await.expect_err(&parameters);
        let error = format!("{error:#}");
        assert!(error.contains(expected), "{parameters}: {error}");
        assert!(!error.contains(USER.1), "the error contains the password: {error}");
    }
    let TestDatabase::Postgres { server, .. } = database else { unreachable!("created above") };
    block_in_place(|| server.lock().stop())
}
