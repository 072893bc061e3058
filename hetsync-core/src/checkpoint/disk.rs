//! A folder, by the few system calls that a checkpoint needs. A trait, so
//! that tests can stop the world between any two of them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A folder with files in it. One file is being written at a time.
pub trait Disk {
    /// Names of the files.
    ///
    /// # Errors
    /// The system's.
    fn list(&mut self) -> io::Result<Vec<String>>;

    /// A file's content.
    ///
    /// # Errors
    /// The system's, or that there is no memory for it.
    fn read(&mut self, name: &str) -> io::Result<Vec<u8>>;

    /// Begins an empty file, in place of one of that name.
    ///
    /// # Errors
    /// The system's.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Appends to the file that was begun last.
    ///
    /// # Errors
    /// The system's.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when the content of the file that was begun last would survive
    /// a loss of power.
    ///
    /// # Errors
    /// The system's. What is on disk is not known then.
    fn sync(&mut self) -> io::Result<()>;

    /// Gives a file another name, in one step.
    ///
    /// # Errors
    /// The system's.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Returns when the names of the files would survive a loss of power.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&mut self) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// The system's.
    fn remove(&mut self, name: &str) -> io::Result<()>;
}

/// A folder of the file system, held by this process alone.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    open: Option<File>,
    /// Locked for as long as it is open.
    _lock: File,
}

impl Folder {
    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// The system's, or [`io::ErrorKind::WouldBlock`] if another process
    /// holds it: two servers in one folder would take each other's
    /// checkpoints for their own.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => io::Error::new(
                io::ErrorKind::WouldBlock,
                "another server keeps its checkpoints there",
            ),
            std::fs::TryLockError::Error(error) => error,
        })?;
        // The folder itself must survive as well.
        if let Some(parent) = path.parent().filter(|parent| parent.is_dir()) {
            File::open(parent)?.sync_all()?;
        }
        Ok(Self {
            path: path.into(),
            open: None,
            _lock: lock,
        })
    }
}

impl Disk for Folder {
    fn list(&mut self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // A name that is no text is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        let file = File::open(self.path.join(name))?;
        let length = file.metadata()?.len();
        let no_memory = || io::Error::from(io::ErrorKind::OutOfMemory);
        let mut bytes = Vec::new();
        let capacity = usize::try_from(length).map_err(|_| no_memory())?;
        bytes.try_reserve_exact(capacity).map_err(|_| no_memory())?;
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.open = Some(File::create(self.path.join(name))?);
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // Closed whatever comes of it.
        let file = self.open.take();
        file.ok_or_else(none_begun)?.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }
}

impl Folder {
    fn file(&mut self) -> io::Result<&mut File> {
        self.open.as_mut().ok_or_else(none_begun)
    }
}

fn none_begun() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "no file was begun")
}
