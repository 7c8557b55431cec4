//! Disks: whether they take what is written, how much, and how fast.

use super::report::Finding;
use crate::config::Config;
use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The folder of data, and that of recordings.
pub fn examine(config: &Config) -> Vec<Finding> {
    let wanted = config.recording_min_free_mb.saturating_mul(MIB);
    vec![
        folder("data_dir", &config.data_dir, DATA_WANTS, "`data_dir`"),
        folder("records_dir", &config.records_dir, wanted, "`records_dir`"),
    ]
}

fn folder(check: &'static str, path: &Path, wanted: u64, setting: &str) -> Finding {
    let shown = path.display();
    let Some(existing) = existing(path) else {
        return Finding::bad(check).says(
            format!("The folder {shown} ({setting}) is nowhere."),
            format!("Папки {shown} ({setting}) нет."),
        );
    };
    let free = free_bytes(&existing).unwrap_or(u64::MAX);
    let took = match write_and_sync(&existing) {
        Ok(took) => took,
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            return Finding::bad(check)
                .says(
                    format!("The disk of {shown} ({setting}) is full: nothing can be stored."),
                    format!("Диск с {shown} ({setting}) заполнен: ничего нельзя сохранить."),
                )
                .advises(
                    "Make room on it, delete old recordings, or name a folder on another disk."
                        .into(),
                    "Освободите место, удалите старые записи или укажите папку на другом диске."
                        .into(),
                );
        }
        Err(error) => {
            return Finding::bad(check)
                .says(
                    format!("Nothing can be written into {shown} ({setting}): {error}."),
                    format!("В {shown} ({setting}) нельзя писать: {error}."),
                )
                .advises(
                    "Give the folder to the user that the server runs as (chown), mount it for writing, or name another."
                        .into(),
                    "Отдайте папку пользователю, от которого работает сервер (chown), смонтируйте её для записи или укажите другую."
                        .into(),
                );
        }
    };
    if free < wanted {
        return Finding::care(check)
            .says(
                format!("The disk of {shown} ({setting}) has {} MB free, less than {} MB.", free / MIB, wanted / MIB),
                format!("На диске с {shown} ({setting}) свободно {} МБ, меньше {} МБ.", free / MIB, wanted / MIB),
            )
            .advises(
                "Make room: recordings end and none begins before a disk is full.".into(),
                "Освободите место: записи останавливаются и не начинаются раньше, чем диск заполнится.".into(),
            );
    }
    if took > SLOW {
        return Finding::care(check)
            .says(
                format!("The disk of {shown} ({setting}) is slow: 4 MB took {} ms until they were safe.", took.as_millis()),
                format!("Диск с {shown} ({setting}) медленный: 4 МБ сохранялись {} мс.", took.as_millis()),
            )
            .advises(
                "Chat waits for each line to be safe. Use a local disk rather than a network folder.".into(),
                "Чат ждёт, пока каждая строка сохранится. Возьмите локальный диск вместо сетевой папки.".into(),
            );
    }
    Finding::good(check).says(
        format!("{shown} ({setting}) takes what is written; {} MB are free.", free / MIB),
        format!("{shown} ({setting}) принимает записи; свободно {} МБ.", free / MIB),
    )
}

/// The folder, or what of its way is there: the rest is made at first start.
fn existing(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find(|part| part.exists()).map(Path::to_owned)
}

/// Writes something, waits until it is safe, and takes it away again.
fn write_and_sync(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(format!(".veche-doctor-{}", std::process::id()));
    let began = Instant::now();
    let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let written = file.write_all(&vec![0; PROBE_BYTES]).and_then(|()| file.sync_data());
    let took = began.elapsed();
    fs::remove_file(&path)?;
    written.map(|()| took)
}

fn free_bytes(path: &Path) -> Option<u64> {
    let name = CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: all zeroes is a valid statvfs.
    let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string and a local of the type that the call fills.
    let read = unsafe { libc::statvfs(name.as_ptr(), &raw mut about) };
    (read == 0).then(|| (about.f_bavail as u64).saturating_mul(about.f_frsize as u64))
}

const MIB: u64 = 1024 * 1024;
/// Database and uploads of a small deployment for a while.
const DATA_WANTS: u64 = 200 * MIB;
/// Enough to see the disk and not its cache alone, little enough to be taken away again at once.
const PROBE_BYTES: usize = 4 * 1024 * 1024;
/// A hard disk on a busy machine takes a tenth of it.
const SLOW: Duration = Duration::from_secs(2);
