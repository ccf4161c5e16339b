//! Records that wait in a file while the database is away: a line of JSON for each.
//!
//! A record is acknowledged when its line is on the disk. The lines are read from the front, and the file is emptied when
//! all of them are in the database. A process that is killed in between leaves the file, and the next one writes all of it
//! again: those that are in the database already are known by their ids.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Error;
use super::audit::append::Entry;

/// The file. No other process has it open.
#[derive(Debug)]
pub(super) struct Spool {
    /// Taken while a thread works with it.
    file: Option<Lines>,
    path: PathBuf,
}

#[derive(Debug)]
struct Lines {
    file: File,
    /// Bytes it may have.
    limit: u64,
    /// Bytes it has.
    end: u64,
    /// Bytes of lines that are in the database.
    done: u64,
}

/// Lines from the front.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) entries: Vec<Entry>,
    /// The bytes they take.
    pub(super) bytes: u64,
    /// Lines that are none.
    pub(super) unreadable: u64,
}

impl Spool {
    /// Opens the file, or makes it, and drops a last line that was not written to its end.
    pub(super) fn open(path: &Path, limit: u64) -> Result<Self, Error> {
        let failed = |source| Error::File { what: format!("opening the spool, {}", path.display()), source };
        let file = Some(Lines::open(path, limit).map_err(failed)?);
        Ok(Self { file, path: path.to_owned() })
    }

    /// Bytes that wait.
    pub(super) fn size(&self) -> u64 {
        self.file.as_ref().map_or(0, |lines| lines.end - lines.done)
    }

    /// Bytes there is room for.
    pub(super) fn room(&self) -> u64 {
        self.file.as_ref().map_or(0, |lines| lines.limit.saturating_sub(lines.end))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.size() == 0
    }

    /// Keeps lines, as many as there is room for, and says how many. They are on the disk when this returns.
    pub(super) async fn keep(&mut self, lines: Vec<String>) -> Result<usize, Error> {
        self.work("writing to", move |file| file.keep(&lines)).await
    }

    /// The next lines, at most so many and about so many bytes.
    pub(super) async fn next(&mut self, most: usize, bytes: u64) -> Result<Chunk, Error> {
        self.work("reading", move |file| file.next(most, bytes)).await
    }

    /// So many bytes are in the database.
    pub(super) async fn done(&mut self, bytes: u64) -> Result<(), Error> {
        self.work("emptying", move |file| file.done(bytes)).await
    }

    async fn work<T: Send + 'static>(
        &mut self,
        what: &'static str,
        work: impl FnOnce(&mut Lines) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let failed =
            |source| Error::File { what: format!("{what} the spool, {}", self.path.display()), source };
        let Some(mut file) = self.file.take() else {
            return Err(failed(io::Error::other("it was given up")));
        };
        let worked = tokio::task::spawn_blocking(move || {
            let result = work(&mut file);
            (file, result)
        });
        let (file, result) = worked.await.map_err(|ended| failed(io::Error::other(ended)))?;
        self.file = Some(file);
        result.map_err(failed)
    }
}

impl Lines {
    fn open(path: &Path, limit: u64) -> io::Result<Self> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path)?;
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        file.try_lock().map_err(io::Error::from)?;
        // The name of a new file has to stay as well.
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        let length = file.metadata()?.len();
        let end = whole_lines(&mut file, length)?;
        if end < length {
            tracing::warn!(
                spool = %path.display(), bytes = length - end,
                "the last line of the spool was not written to its end; it is dropped, nobody was told that it is kept"
            );
            file.set_len(end)?;
            file.sync_data()?;
        }
        Ok(Self { file, limit, end, done: 0 })
    }

    fn keep(&mut self, lines: &[String]) -> io::Result<usize> {
        let mut end = self.end;
        let fit = |line: &&String| {
            end += line.len() as u64;
            end <= self.limit
        };
        let fitting = lines.iter().take_while(fit).count();
        let text = lines[..fitting].concat();
        if text.is_empty() {
            return Ok(0);
        }
        let written = self.file.seek(SeekFrom::Start(self.end)).and_then(|_| {
            self.file.write_all(text.as_bytes())?;
            self.file.sync_data()
        });
        if let Err(error) = written {
            // What was written in part must not be there when more follows.
            self.file.set_len(self.end)?;
            return Err(error);
        }
        self.end += text.len() as u64;
        Ok(fitting)
    }

    fn next(&mut self, most: usize, bytes: u64) -> io::Result<Chunk> {
        self.file.seek(SeekFrom::Start(self.done))?;
        let mut reader = BufReader::new(&self.file).take(self.end - self.done);
        let mut chunk = Chunk::default();
        let mut line = String::new();
        while chunk.entries.len() < most && chunk.bytes < bytes {
            let mut read = Vec::new();
            if reader.read_until(b'\n', &mut read)? == 0 {
                break;
            }
            chunk.bytes += read.len() as u64;
            line.clear();
            line.push_str(&String::from_utf8_lossy(&read));
            match Entry::read(line.trim_end()) {
                Ok(entry) => chunk.entries.push(entry),
                Err(error) => {
                    tracing::error!(%error, "a line of the spool is no record; it is left out");
                    chunk.unreadable += 1;
                }
            }
        }
        Ok(chunk)
    }

    fn done(&mut self, bytes: u64) -> io::Result<()> {
        self.done = self.end.min(self.done + bytes);
        if self.done == self.end && self.end > 0 {
            self.file.set_len(0)?;
            self.file.sync_data()?;
            (self.end, self.done) = (0, 0);
        }
        Ok(())
    }
}

/// How many bytes from the front are whole lines.
fn whole_lines(file: &mut File, length: u64) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(STEP);
        let mut part = Vec::new();
        file.seek(SeekFrom::Start(begin))?;
        file.take(end - begin).read_to_end(&mut part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}
