//! A file of records that wait for the database: one JSON line each.
//!
//! A record is acknowledged once its line is on disk. Lines are read from the front, and the file is truncated once all of them
//! are in the database. If the process is killed before that, the next process writes all lines again; the database skips
//! records by their ids.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Error;
use super::audit::append::Entry;

/// A spool file, locked against other processes.
#[derive(Debug)]
pub(super) struct Spool {
    /// `None` while a blocking thread uses it.
    file: Option<SpoolFile>,
    path: PathBuf,
}

#[derive(Debug)]
struct SpoolFile {
    file: File,
    /// Maximum size in bytes.
    limit: u64,
    /// Size in bytes.
    end: u64,
    /// Bytes of the lines that are in the database.
    written: u64,
}

/// Lines from the front of a spool.
#[derive(Debug, Default)]
pub(super) struct SpoolBatch {
    pub(super) entries: Vec<Entry>,
    /// The size of the lines in bytes.
    pub(super) bytes: u64,
    /// The number of malformed lines.
    pub(super) malformed: u64,
}

impl Spool {
    /// Opens or creates the file, and truncates an incomplete last line.
    pub(super) fn open(path: &Path, limit: u64) -> Result<Self, Error> {
        let failed =
            |source| Error::File { operation: format!("opening the spool, {}", path.display()), source };
        let file = Some(SpoolFile::open(path, limit).map_err(failed)?);
        Ok(Self { file, path: path.to_owned() })
    }

    /// The size of the waiting lines, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.end - file.written)
    }

    /// The free space, in bytes.
    pub(super) fn free(&self) -> u64 {
        self.file.as_ref().map_or(0, |file| file.limit.saturating_sub(file.end))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// Appends as many lines as fit, and returns their number. They are on disk when this returns.
    pub(super) async fn append(&mut self, lines: Vec<String>) -> Result<usize, Error> {
        self.run_blocking("writing to", move |file| file.append(&lines)).await
    }

    /// Reads the next lines, limited to a number of lines and about a number of bytes.
    pub(super) async fn read(&mut self, max_lines: usize, max_bytes: u64) -> Result<SpoolBatch, Error> {
        self.run_blocking("reading", move |file| file.read(max_lines, max_bytes)).await
    }

    /// Removes lines of this size from the front.
    pub(super) async fn remove(&mut self, bytes: u64) -> Result<(), Error> {
        self.run_blocking("truncating", move |file| file.remove(bytes)).await
    }

    async fn run_blocking<T: Send + 'static>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&mut SpoolFile) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let failed = |source| Error::File {
            operation: format!("{operation} the spool, {}", self.path.display()),
            source,
        };
        let Some(mut file) = self.file.take() else {
            return Err(failed(io::Error::other("an earlier operation was aborted")));
        };
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut file);
            (file, result)
        });
        let (file, result) = done.await.map_err(|error| failed(io::Error::other(error)))?;
        self.file = Some(file);
        result.map_err(failed)
    }
}

impl SpoolFile {
    fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.try_lock().map_err(io::Error::from)?;
        // The directory entry of a new file has to be on disk as well.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        let length = file.metadata()?.len();
        let end = find_end_of_lines(&mut file, length)?;
        if end < length {
            tracing::warn!(
                spool = %path.display(), bytes = length - end,
                "removed the incomplete last line of the spool, which was never acknowledged"
            );
            file.set_len(end)?;
            file.sync_data()?;
        }
        Ok(Self { file, limit, end, written: 0 })
    }

    fn append(&mut self, lines: &[String]) -> io::Result<usize> {
        let mut end = self.end;
        let fits = |line: &&String| {
            end += line.len() as u64;
            end <= self.limit
        };
        let fitting = lines.iter().take_while(fits).count();
        let text = lines[..fitting].concat();
        if text.is_empty() {
            return Ok(0);
        }
        let result = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| {
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()
        });
        if let Err(error) = result {
            // Later lines must not follow a partial one.
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.end += text.len() as u64;
        Ok(fitting)
    }

    fn read(&mut self, max_lines: usize, max_bytes: u64) -> io::Result<SpoolBatch> {
        self.file.seek(SeekFrom::Start(self.written))?;
        let mut reader = BufReader::new(&self.file).take(self.end - self.written);
        let mut batch = SpoolBatch::default();
        let mut line = String::new();
        while batch.entries.len() < max_lines && batch.bytes < max_bytes {
            let mut bytes = Vec::new();
            if reader.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            batch.bytes += bytes.len() as u64;
            line.clear();
            line.push_str(&String::from_utf8_lossy(&bytes));
            match Entry::parse_spool_line(line.trim_end()) {
                Ok(entry) => batch.entries.push(entry),
                Err(error) => {
                    tracing::error!(%error, "skipped a malformed line of the spool");
                    batch.malformed += 1;
                }
            }
        }
        Ok(batch)
    }

    fn remove(&mut self, bytes: u64) -> io::Result<()> {
        self.written = self.end.min(self.written + bytes);
        if self.written == self.end && self.end > 0 {
            self.file.set_len(0)?;
            self.file.sync_data()?;
            (self.end, self.written) = (0, 0);
        }
        Ok(())
    }
}

/// Finds the end of the last complete line.
fn find_end_of_lines(file: &mut File, length: u64) -> io::Result<u64> {
    const BLOCK_BYTES: u64 = 64 << 10;
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK_BYTES);
        let mut block = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        file.take(end - begin).read_to_end(&mut block)?;
        if let Some(at) = block.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}
