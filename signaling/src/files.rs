//! Where uploaded files lie: outside of everything that is served, each under its id. What they are called and
//! whom they are for, the store knows.

use protocol::{AttachmentId, RoomId};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, SystemTime};
use store::Store;

/// The folder of uploads.
#[derive(Clone, Debug)]
pub struct Files {
    folder: PathBuf,
}

/// What is kept of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// A picture for a list.
    Thumbnail,
}

impl Files {
    /// Files under that folder, which is made when the first one comes.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) async fn write(
        &self,
        room: RoomId,
        id: AttachmentId,
        part: Part,
        bytes: &[u8],
    ) -> std::io::Result<()> {
        let path = self.path(room, id, part);
        if let Some(folder) = path.parent() {
            tokio::fs::create_dir_all(folder).await?;
        }
        // Beside it and moved: whoever reads finds all of it or nothing.
        let beside = path.with_extension("new");
        tokio::fs::write(&beside, bytes).await?;
        tokio::fs::rename(&beside, &path).await
    }

    pub(crate) async fn read(
        &self,
        room: RoomId,
        id: AttachmentId,
        part: Part,
    ) -> std::io::Result<Option<Vec<u8>>> {
        match tokio::fs::read(self.path(room, id, part)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes what the store does not know any more: files of deleted messages and rooms, and what an upload
    /// that broke off left behind.
    pub(crate) async fn sweep(&self, store: &Store) -> std::io::Result<()> {
        let mut rooms = match tokio::fs::read_dir(&self.folder).await {
            Ok(rooms) => rooms,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        while let Some(room) = rooms.next_entry().await? {
            if !room.file_type().await?.is_dir() {
                continue;
            }
            let mut files = tokio::fs::read_dir(room.path()).await?;
            while let Some(file) = files.next_entry().await? {
                if is_young(&file.metadata().await?) || is_known(store, &file.path()).await {
                    continue;
                }
                tokio::fs::remove_file(file.path()).await?;
            }
            // Only an empty folder goes.
            tokio::fs::remove_dir(room.path()).await.ok();
        }
        Ok(())
    }

    fn path(&self, room: RoomId, id: AttachmentId, part: Part) -> PathBuf {
        let name = match part {
            Part::Whole => id.to_string(),
            Part::Thumbnail => format!("{id}.small"),
        };
        self.folder.join(room.to_string()).join(name)
    }
}

/// Whether a file may still be on its way.
fn is_young(metadata: &std::fs::Metadata) -> bool {
    let age = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age < YOUNG)
}

async fn is_known(store: &Store, path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    match AttachmentId::from_str(name) {
        // A store that does not answer says nothing about the file.
        Ok(id) => store.has_attachment(id).await.unwrap_or(true),
        Err(_) => path.extension().is_none_or(|extension| extension != "new"),
    }
}

/// Longer keeps garbage for longer; shorter could delete what is being uploaded.
const YOUNG: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::UserId;
    use protocol::chat::Attachment;
    use protocol::room::Role;
    use store::testing::TestDatabase;
    use store::{NewRoom, RoomCreated};
    use uuid::Uuid;

    const ROOM: RoomId = RoomId(Uuid::from_u128(1));
    const ADA: UserId = UserId(Uuid::from_u128(2));

    fn file(n: u128) -> AttachmentId {
        AttachmentId(Uuid::from_u128(n))
    }

    /// A store with a room and files 1 and 2 in it.
    async fn stored(database: &TestDatabase) {
        let store = &database.store;
        store.create_guest(ADA, "Ada", None, 0).await.expect("stores");
        let new = NewRoom {
            id: ROOM,
            slug: "weekly".into(),
            name: "Weekly".into(),
            owner_id: ADA,
            invite_key_hash: None,
            invite_code_hash: "hash".into(),
            invite_code_sealed: "sealed".into(),
        };
        assert!(matches!(store.create_room(&new, 0).await, Ok(RoomCreated::Yes(_))));
        assert_eq!(store.role_of(ROOM, ADA).await.expect("reads"), Some(Role::Owner));
        for (n, created_ms) in [(1, 1_000), (2, 5_000)] {
            let (name, mime) = ("plan.png".into(), "image/png".into());
            let new = Attachment { id: file(n), name, mime, bytes: 1, width: None, height: None };
            assert!(
                store.create_attachment(ROOM, ADA, &new, 1_000, created_ms).await.expect("stores")
            );
        }
    }

    #[tokio::test]
    async fn what_the_store_does_not_know_is_swept_away_once_it_is_old() {
        let database = TestDatabase::sqlite().await;
        stored(&database).await;
        let folder = std::env::temp_dir().join(format!("veche-files-{}", Uuid::new_v4()));
        let files = Files::new(folder.clone());
        files.sweep(&database.store).await.expect("an absent folder is a clean one");
        let gone = RoomId(Uuid::from_u128(9));
        for (room, n) in [(ROOM, 1), (ROOM, 2), (ROOM, 3), (gone, 4)] {
            for part in [Part::Whole, Part::Thumbnail] {
                files.write(room, file(n), part, b"x").await.expect("writes");
            }
        }
        let broken_off = folder.join(ROOM.to_string()).join(format!("{}.new", file(5)));
        std::fs::write(&broken_off, "x").expect("writes");
        let young = files.path(ROOM, file(6), Part::Whole);
        std::fs::write(&young, "x").expect("writes");
        let is_there = async |room, n| {
            files.read(room, file(n), Part::Thumbnail).await.expect("reads").is_some()
        };
        files.sweep(&database.store).await.expect("sweeps");
        assert!(is_there(gone, 4).await, "all are young");
        let old = SystemTime::now() - 2 * YOUNG;
        for room in std::fs::read_dir(&folder).expect("reads") {
            for file in std::fs::read_dir(room.expect("an entry").path()).expect("reads") {
                let path = file.expect("an entry").path();
                if path != young {
                    let file = std::fs::File::options().write(true).open(path).expect("opens");
                    file.set_modified(old).expect("sets its time");
                }
            }
        }
        // An upload that no line shows ends by time; its file goes with the next sweep.
        database.store.forget_unshown_attachments(2_000).await.expect("forgets");
        files.sweep(&database.store).await.expect("sweeps");
        assert!(!is_there(ROOM, 1).await, "nothing shows it");
        assert!(is_there(ROOM, 2).await);
        assert!(!is_there(ROOM, 3).await);
        assert!(!folder.join(gone.to_string()).exists(), "an empty folder goes");
        assert!(!broken_off.exists());
        assert!(young.exists());
        std::fs::remove_dir_all(folder).expect("removes");
    }
}
