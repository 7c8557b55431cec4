//! Files of one recording on disk: growing, finished, and what is kept free so that finishing works on a full disk.

use recorder::Patch;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Kept free for what is written at the end: cues of some fifty hours of files, and the table of contents.
const RESERVE_BYTES: u64 = 1024 * 1024;
const RESERVE: &str = ".reserve";

/// The folder of one recording.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, with a reserve.
    pub fn make(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        let reserve = File::create(path.join(RESERVE))?;
        // Written and not only promised: a sparse file keeps nothing free.
        let zeros = [0; 64 * 1024];
        for _ in 0..RESERVE_BYTES / zeros.len() as u64 {
            (&reserve).write_all(&zeros)?;
        }
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the reserve back.
    pub fn release(&self) {
        fs::remove_file(self.path.join(RESERVE)).ok();
    }

    /// Begins a file; a name that is taken is refused.
    pub fn begin(&self, name: &str, header: &[u8]) -> io::Result<GrowingFile> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path.join(name))?;
        let mut growing = GrowingFile { file, length: 0 };
        growing.append(header)?;
        Ok(growing)
    }

    /// Whether a name is taken.
    pub fn has(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// Writes a file whole or not at all.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        crate::replace::replace(&self.path.join(name), bytes)
    }
}

/// A file that grows by whole clusters.
#[derive(Debug)]
pub struct GrowingFile {
    file: File,
    length: u64,
}

impl GrowingFile {
    /// Bytes so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Adds bytes at the end. What is half written is cut off again, so that the file always ends with a whole
    /// cluster.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(bytes, self.length) {
            self.file.set_len(self.length).ok();
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Adds the end and fills in what was left out.
    pub fn finish(&mut self, end: &[u8], patches: &[Patch]) -> io::Result<u64> {
        self.append(end)?;
        for patch in patches {
            self.file.write_all_at(&patch.bytes, patch.offset)?;
        }
        self.file.sync_data()?;
        Ok(self.length)
    }
}

/// Bytes that the file system of a folder has left for us.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: all zeros is a value of this plain struct.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a NUL and lives, and the struct is ours to write.
    if unsafe { libc::statvfs(path.as_ptr(), &mut found) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(found.f_bavail as u64 * found.f_frsize as u64)
}
