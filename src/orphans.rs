//! `veche recordings`: what only the disk or only the database knows, listed, taken in, deleted.

use crate::cli::{RecordingsAction, Which};
use crate::config::Config;
use crate::recording::orphans::{Orphans, describe};
use crate::secrets::DataDir;
use anyhow::{Context, bail};
use protocol::RecordingId;
use signaling::records::Records;
use store::Store;

/// Lists, or does what is asked.
///
/// # Errors
/// A server runs, the store or the disk does not answer, or something could not be taken in.
pub fn run(config: &Config, action: Option<RecordingsAction>) -> anyhow::Result<()> {
    // A server that runs would not hear of what changes here.
    let _data = DataDir::open(&config.data_dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start a thread")?;
    runtime.block_on(async {
        let store = Store::connect(config.database_url.expose())
            .await
            .with_context(|| format!("cannot use the database {:?}", config.database_url))?;
        let records = Records::new(config.records_dir.clone());
        let done = act(&store, &records, action).await;
        store.close().await;
        done
    })
}

async fn act(
    store: &Store,
    records: &Records,
    action: Option<RecordingsAction>,
) -> anyhow::Result<()> {
    let orphans = Orphans::find(store, records).await?;
    match action {
        None => list(records, &orphans),
        Some(RecordingsAction::Adopt { recording }) => {
            let Orphans { folders, rows } = orphans.of(one(recording))?;
            if let (Which::One(id), [], [_]) = (recording, &folders[..], &rows[..]) {
                bail!("the folder of {id} is gone, there is nothing to take in");
            }
            let mut failed = 0;
            for (slug, id) in folders {
                match Orphans::adopt(store, records, &slug, id).await {
                    Ok(()) => println!("{id}  taken into the room {slug}"),
                    Err(error) => {
                        failed += 1;
                        eprintln!("{id}  {error:#}");
                    }
                }
            }
            if failed > 0 {
                bail!("{failed} could not be taken in");
            }
        }
        Some(RecordingsAction::Delete { recording }) => {
            let Orphans { folders, rows } = orphans.of(one(recording))?;
            for (slug, id) in folders {
                records.delete(&slug, id).await.with_context(|| format!("cannot delete {id}"))?;
                println!("{id}  deleted from the disk");
            }
            for (_, id) in rows {
                store.delete_recording(id).await?;
                println!("{id}  deleted from the database");
            }
        }
    }
    Ok(())
}

fn one(which: Which) -> Option<RecordingId> {
    match which {
        Which::One(id) => Some(id),
        Which::All => None,
    }
}

fn list(records: &Records, orphans: &Orphans) {
    for (slug, id) in &orphans.folders {
        let what = describe(&records.folder_of(slug, *id));
        println!("{id}  not in the database: {slug}, {what}");
    }
    for (slug, id) in &orphans.rows {
        println!("{id}  its folder is gone: {slug}");
    }
    if *orphans == Orphans::default() {
        println!("The disk and the database know the same recordings.");
    }
}
