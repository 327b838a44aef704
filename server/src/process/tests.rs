//! What must hold when a process starts.

use super::*;
use crate::service::sign_in::sign_in;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

fn config(folder: &TempDir) -> Config {
    let mut config = Config::default();
    config.data.folder = folder.path().join("data");
    config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.library.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config
}

async fn start(folder: &TempDir) -> anyhow::Result<Running> {
    run(config(folder), Clock::default()).await
}

async fn refusal(config: Config) -> String {
    match run(config, Clock::default()).await {
        Ok(_) => panic!("it starts"),
        Err(error) => format!("{error:#}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_password_that_nobody_saw_is_not_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&folder).await.unwrap();
    let lost = running.one_time_password().unwrap().clone();
    assert!(!running.first.as_ref().unwrap().is_renewed);
    running.stop().await.unwrap();

    let running = start(&folder).await.unwrap();
    let first = running.first.as_ref().unwrap();
    assert!(first.is_renewed && first.name == "admin" && first.one_time_password != lost);
    assert!(sign_in(&running.app, "admin", lost, None).await.is_err());
    sign_in(&running.app, "admin", first.one_time_password.clone(), None).await.unwrap();
    running.stop().await.unwrap();

    // Somebody has used it.
    let running = start(&folder).await.unwrap();
    assert!(running.first.is_none());
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_folder_is_for_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&folder).await.unwrap();
    let mode = std::fs::metadata(config(&folder).data.folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "others of this machine have no business in it");
    assert!(refusal(config(&folder)).await.contains("another process uses the data folder"));
    running.stop().await.unwrap();
    start(&folder).await.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_key_of_its_secrets_nothing_starts() {
    let folder = tempfile::tempdir().unwrap();
    start(&folder).await.unwrap().stop().await.unwrap();
    let key = config(&folder).key_file();
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let error = refusal(config(&folder)).await;
    assert!(error.contains("is missing") && !key.exists(), "no new key takes its place: {error}");

    let mut other = config(&folder);
    other.data.key_file = Some(folder.path().join("other"));
    crate::seal::Sealer::open(&other.key_file()).unwrap();
    let error = refusal(other.clone()).await;
    assert!(error.contains("is not the key file"), "{error}");

    std::fs::write(other.key_file(), kept).unwrap();
    run(other, Clock::default()).await.unwrap().stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_do_not_share_the_embedded_registry() {
    let folder = tempfile::tempdir().unwrap();
    let running = start(&folder).await.unwrap();
    refuse_replicated_registry(&running.app).await.unwrap();
    let mut config = config(&folder);
    config.database.replicated = true;
    let app = App::open(config, Clock::default()).await.unwrap();
    let error = refuse_replicated_registry(&app).await.unwrap_err().to_string();
    assert!(error.contains("1 enterprises have their library in the embedded registry"), "{error}");
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let [_, all] = store::Database::migrations().unwrap();
    assert_eq!(migrate(&config(&folder)).await.unwrap().len(), all.len());
    assert_eq!(migrate(&config(&folder)).await.unwrap(), Vec::<String>::new());
}
