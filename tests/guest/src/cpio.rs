//! A writer for the archive the kernel unpacks at boot: cpio in its `newc`
//! form (Documentation/driver-api/early-userspace/buffer-format.rst).
//!
//! It writes; it does not read. Everything belongs to root and carries the
//! time zero, so equal contents give equal archives.

use std::collections::HashSet;

/// An archive under construction.
#[derive(Debug, Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
    folders: HashSet<String>,
}

const FOLDER: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

impl Archive {
    /// Adds a regular file, and the folders it is in.
    pub(crate) fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        self.parents(path);
        self.entry(path, REGULAR | mode, bytes, (0, 0));
    }

    /// Adds a symbolic link, and the folders it is in.
    pub(crate) fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entry(path, LINK | 0o777, target.as_bytes(), (0, 0));
    }

    /// Adds a folder, and the folders it is in, unless it is there already.
    pub(crate) fn folder(&mut self, path: &str) {
        let path = path.trim_matches('/');
        self.parents(path);
        if !path.is_empty() && self.folders.insert(path.to_owned()) {
            self.entry(path, FOLDER | 0o755, b"", (0, 0));
        }
    }

    /// Adds a character device.
    pub(crate) fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.entry(path, CHARACTER_DEVICE | 0o600, b"", (major, minor));
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, b"", (0, 0));
        self.bytes
    }

    fn parents(&mut self, path: &str) {
        let path = path.trim_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.folder(parent);
        }
    }

    fn entry(&mut self, path: &str, mode: u32, bytes: &[u8], device: (u32, u32)) {
        let path = path.trim_start_matches('/');
        self.entries += 1;
        let size = u32::try_from(bytes.len()).expect("the caller caps files at 4 GiB");
        let fields = [
            self.entries, // inode
            mode,
            0, // owner
            0, // group
            1, // links
            0, // time
            size,
            0, // device the file lies on, major and minor
            0,
            device.0,
            device.1,
            path.len() as u32 + 1,
            0, // checksum, unused in this form
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(path.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(bytes);
        self.pad();
    }

    /// Names and contents each end on a multiple of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    fn sample() -> Vec<u8> {
        let mut archive = Archive::default();
        archive.file("/usr/bin/tool", 0o755, b"12345");
        archive.file("usr/bin/empty", 0o644, b"");
        archive.link("/usr/bin/alias", "tool");
        archive.folder("/usr/bin");
        archive.device("/dev/console", 5, 1);
        archive.finish()
    }

    #[test]
    fn the_header_is_what_the_kernel_reads() {
        let mut archive = Archive::default();
        archive.file("a", 0o644, b"xyz");
        let bytes = archive.finish();
        let expected = "070701\
            00000001000081A400000000000000000000000100000000\
            00000003000000000000000000000000000000000000000200000000";
        assert_eq!(&bytes[..110], expected.as_bytes());
        assert_eq!(&bytes[110..116], b"a\0xyz\0");
        assert_eq!(&bytes[116..122], b"070701");
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn folders_come_once_and_before_what_is_in_them() {
        let bytes = sample();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("usr/bin\0").count(), 1);
        assert!(text.find("usr\0").unwrap() < text.find("usr/bin\0").unwrap());
        assert!(text.find("usr/bin\0").unwrap() < text.find("usr/bin/tool\0").unwrap());
    }

    /// The system's own cpio is an independent reader, where there is one.
    #[test]
    fn another_reader_lists_the_same() {
        let child = Command::new("cpio")
            .args(["-itv", "--quiet", "--numeric-uid-gid"])
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("skipped: no cpio on this machine");
            return;
        };
        child.stdin.take().unwrap().write_all(&sample()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        let modes: Vec<&str> = lines.iter().map(|words| words[0]).collect();
        assert_eq!(
            modes,
            [
                "drwxr-xr-x",
                "drwxr-xr-x",
                "-rwxr-xr-x",
                "-rw-r--r--",
                "lrwxrwxrwx",
                "drwxr-xr-x",
                "crw-------"
            ]
        );
        assert_eq!(lines[2][4], "5");
        assert!(text.contains("usr/bin/alias -> tool"));
    }
}
