//! `eventctl audit export`: writes a log to a file, with everything needed to verify it.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use eventcenter_sdk::rest::audit::ExportFormat;

use super::super::login::block_on;
use super::super::output::{Answer, print_note};
use super::filter_args::PastFilterArgs;
use super::line_buffer::LineBuffer;
use super::server::Server;
use super::time_arg;
use crate::domain::audit::export::{End, Line};
use crate::kubernetes::Download;

const EXAMPLES: &str = "\
Examples:
  eventctl audit export --tenant shop --to shop.ndjson
  eventctl audit export --since 2026-11-01 --until 2026-12-01 --to november.ndjson
  eventctl audit export --format csv --outcome Denied > denied.csv

Exit codes: 0 the export is complete, 2 an error occurred.";

/// Interval of the progress display.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Write a log, or the selected records of it, to a file.
///
/// The format ndjson can be verified without a server (eventctl audit verify --file): it has the hashes of the records that the
/// filter leaves out. An export is recorded in the log.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Export {
    #[command(flatten)]
    filter: PastFilterArgs,
    /// The file, readable only by its owner. Default: standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Format of the file.
    #[arg(long, value_parser = format_parser(), default_value_t = ExportFormat::default(), value_name = "FORMAT")]
    format: ExportFormat,
    #[command(flatten)]
    server: Server,
}

fn format_parser() -> impl TypedValueParser<Value = ExportFormat> {
    let formats = [
        PossibleValue::new("ndjson").help("Lines of JSON with everything needed to verify them"),
        PossibleValue::new("csv").help("A table for spreadsheets, which cannot be verified"),
    ];
    PossibleValuesParser::new(formats).try_map(|text| text.parse())
}

pub(super) fn answer(arguments: &Export) -> anyhow::Result<Answer> {
    let filter = arguments.filter.filter(&time_arg::now())?;
    let Export { to, format, server, filter: _ } = arguments;
    let exported = async {
        let download = server.open().await?.export(&filter, *format).await?;
        match to {
            None => save(download, *format, &mut std::io::stdout().lock()).await.map(drop),
            Some(path) => {
                let mut partial = PartialFile::create(path)?;
                let saved = save(download, *format, &mut partial.file).await?;
                partial.commit()?;
                print_note(&format!("{}: {saved}", path.display()));
                Ok(())
            }
        }
    };
    block_on(async {
        tokio::select! {
            exported = exported => exported,
            _ = tokio::signal::ctrl_c() => bail!("interrupted: the export is incomplete"),
        }
    })?;
    Ok(Answer { yes: true, text: String::new() })
}

/// Writes a download. Returns a description of its size.
async fn save(mut download: Download, format: ExportFormat, out: &mut impl Write) -> anyhow::Result<String> {
    const WRITING: &str = "writing the export";
    let mut check = ExportCheck::new(format);
    let mut progress = Progress::start();
    while let Some(piece) = download.next().await? {
        out.write_all(&piece).context(WRITING)?;
        check.push(&piece)?;
        progress.show(&check);
    }
    out.flush().context(WRITING)?;
    progress.finish();
    check.finish()
}

/// Checks an export while it is received.
struct ExportCheck {
    format: ExportFormat,
    bytes: u64,
    records: u64,
    lines: LineBuffer,
    end: Option<End>,
}

impl ExportCheck {
    fn new(format: ExportFormat) -> Self {
        Self { format, bytes: 0, records: 0, lines: LineBuffer::default(), end: None }
    }

    fn push(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.bytes += piece.len() as u64;
        if self.format == ExportFormat::Csv {
            return Ok(());
        }
        self.lines.push(piece);
        while let Some(line) = self.lines.next() {
            if self.end.is_some() {
                bail!("the export continues after its end");
            } else if line.starts_with(br#"{"record":"#) {
                self.records += 1;
            } else if let Line::End(end) = serde_json::from_slice(&line).context("this is not an export")? {
                self.end = Some(end);
            }
        }
        Ok(())
    }

    /// Checks that the export is complete. A CSV file has no end marker: there the connection reports errors.
    fn finish(self) -> anyhow::Result<String> {
        match (self.format, &self.end) {
            (ExportFormat::Csv, _) => {}
            (ExportFormat::Ndjson, Some(End { records })) if *records == self.records => {}
            (ExportFormat::Ndjson, Some(End { records })) => {
                bail!("the export has {} records, but its end states {records}", self.records)
            }
            (ExportFormat::Ndjson, None) => {
                bail!("the export was truncated after {} records: repeat it", self.records)
            }
        }
        Ok(self.to_string())
    }
}

impl std::fmt::Display for ExportCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.format {
            ExportFormat::Ndjson => write!(f, "{} records, ", self.records)?,
            ExportFormat::Csv => {}
        }
        match self.bytes {
            few @ 0..100_000 => write!(f, "{:.1} kB", few as f64 / 1e3),
            many => write!(f, "{:.1} MB", many as f64 / 1e6),
        }
    }
}

/// Shows the progress on a terminal.
pub(super) struct Progress {
    last: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// Starts; shows nothing if standard error is not a terminal.
    pub(super) fn start() -> Self {
        Self { last: std::io::stderr().is_terminal().then(Instant::now), is_shown: false }
    }

    /// Shows what has been done, at most once per interval.
    pub(super) fn show(&mut self, done: &impl std::fmt::Display) {
        if let Some(last) = self.last.as_mut().filter(|last| last.elapsed() >= PROGRESS_INTERVAL) {
            *last = Instant::now();
            self.is_shown = true;
            drop(write!(std::io::stderr(), "\r\u{1b}[2K{done}"));
        }
    }

    /// Removes the display.
    pub(super) fn finish(self) {
        if self.is_shown {
            drop(write!(std::io::stderr(), "\r\u{1b}[2K"));
        }
    }
}

/// A temporary file that becomes the export when it is complete, and is deleted otherwise.
struct PartialFile {
    file: BufWriter<File>,
    path: PathBuf,
    becomes: PathBuf,
}

impl PartialFile {
    fn create(becomes: &Path) -> anyhow::Result<Self> {
        let name = becomes.file_name().with_context(|| format!("{} is not a file", becomes.display()))?;
        if becomes.is_dir() {
            bail!("{} is a folder: name a file in it", becomes.display());
        }
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let path = becomes.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path, becomes: becomes.to_owned() })
    }

    /// Renames the complete file.
    fn commit(mut self) -> anyhow::Result<()> {
        let renamed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let renamed = renamed.and_then(|()| std::fs::rename(&self.path, &self.becomes));
        renamed.with_context(|| format!("writing {}", self.becomes.display()))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After a rename it does not exist.
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn check(text: &str) -> Result<String, String> {
        let mut check = ExportCheck::new(ExportFormat::Ndjson);
        let fed = text.as_bytes().chunks(7).try_for_each(|piece| check.push(piece));
        fed.and_then(|()| check.finish()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_truncated_export_is_detected() {
        let record = "{\"record\":{}}\n";
        assert_eq!(
            check(&format!("{record}{record}{{\"end\":{{\"records\":2}}}}\n")),
            Ok("2 records, 0.1 kB".into())
        );
        let cut = Err("the export was truncated after 1 records: repeat it".to_owned());
        assert_eq!(check(record), cut);
        assert_eq!(check(&format!("{record}{{\"end\":{{\"records\":1}}")), cut);
        assert!(
            check(&format!("{record}{{\"end\":{{\"records\":2}}}}\n"))
                .is_err_and(|error| error.contains("states 2"))
        );
        assert!(
            check(&format!("{{\"end\":{{\"records\":0}}}}\n{record}"))
                .is_err_and(|error| error.contains("continues after its end"))
        );
        assert!(check("<html>\n").is_err_and(|error| error.contains("not an export")));
    }

    #[test]
    fn a_file_exists_only_when_it_is_complete() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shop.ndjson");
        let names = || std::fs::read_dir(folder.path()).expect("a folder").count();
        let mut partial = PartialFile::create(&path).expect("a file");
        partial.file.write_all(b"one").expect("it is written");
        assert!(!path.exists() && names() == 1);
        drop(partial);
        assert_eq!(names(), 0, "an incomplete file is deleted");

        let mut partial = PartialFile::create(&path).expect("a file");
        partial.file.write_all(b"two").expect("it is written");
        partial.commit().expect("it is renamed");
        assert_eq!((std::fs::read(&path).expect("a file"), names()), (b"two".to_vec(), 1));
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(PartialFile::create(folder.path()).is_err());
    }
}
