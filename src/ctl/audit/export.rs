//! `eventctl audit export`: writes a log to a file that can be verified.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use eventcenter_sdk::rest::audit::ExportFormat;

use super::super::login::block_on;
use super::super::output::{Answer, print_note};
use super::filter_args::RangeFilterArgs;
use super::line_buffer::LineBuffer;
use super::log_client::LogArgs;
use super::progress_line::ProgressLine;
use super::time_arg;
use crate::domain::audit::export::{End, Line};
use crate::kubernetes::Download;

const EXAMPLES: &str = "\
Examples:
  eventctl audit export --tenant shop --to shop.ndjson
  eventctl audit export --since 2026-11-01 --until 2026-12-01 --to november.ndjson
  eventctl audit export --format csv --outcome Denied > denied.csv

Exit codes: 0 the export is complete, 2 an error occurred.";

/// Export a log, or the records that match a filter.
///
/// JSON lines can be verified without a server (eventctl audit verify --file): they contain the hashes of the records
/// that the filter leaves out. Exporting a log adds a record to it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Export {
    #[command(flatten)]
    filters: RangeFilterArgs,
    /// Path of the file; only its owner may read it. Default: standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Output format.
    #[arg(long, value_parser = format_parser(), default_value_t = ExportFormat::default(), value_name = "FORMAT")]
    format: ExportFormat,
    #[command(flatten)]
    server: LogArgs,
}

fn format_parser() -> impl TypedValueParser<Value = ExportFormat> {
    let formats = [
        PossibleValue::new("ndjson").help("JSON lines, which can be verified"),
        PossibleValue::new("csv").help("Comma-separated values, which cannot be verified"),
    ];
    PossibleValuesParser::new(formats).try_map(|text| text.parse())
}

pub(super) fn answer(arguments: &Export) -> anyhow::Result<Answer> {
    let filter = arguments.filters.filter(&time_arg::now())?;
    let Export { to, format, server, filters: _ } = arguments;
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
            _ = tokio::signal::ctrl_c() => bail!("the export was stopped and is incomplete"),
        }
    })?;
    Ok(Answer { yes: true, text: String::new() })
}

/// Writes an export. Returns its size for people.
async fn save(mut download: Download, format: ExportFormat, out: &mut impl Write) -> anyhow::Result<String> {
    const WRITING: &str = "writing the export";
    let mut check = ExportCheck::new(format);
    let mut progress = ProgressLine::start();
    while let Some(chunk) = download.next().await? {
        out.write_all(&chunk).context(WRITING)?;
        check.push(&chunk)?;
        progress.print(&check);
    }
    out.flush().context(WRITING)?;
    progress.finish();
    check.finish()
}

/// Checks that an export is complete.
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

    fn push(&mut self, chunk: &[u8]) -> anyhow::Result<()> {
        self.bytes += chunk.len() as u64;
        if self.format == ExportFormat::Csv {
            return Ok(());
        }
        self.lines.push(chunk);
        while let Some(line) = self.lines.next_line() {
            if self.end.is_some() {
                bail!("the export has lines after its end");
            } else if line.starts_with(br#"{"record":"#) {
                self.records += 1;
            } else if let Line::End(end) = serde_json::from_slice(&line).context("this is not an export")? {
                self.end = Some(end);
            }
        }
        Ok(())
    }

    /// Checks that the export has its end. CSV has none; there the end of the connection counts.
    fn finish(self) -> anyhow::Result<String> {
        match (self.format, &self.end) {
            (ExportFormat::Csv, _) => {}
            (ExportFormat::Ndjson, Some(End { records })) if *records == self.records => {}
            (ExportFormat::Ndjson, Some(End { records })) => {
                bail!("the export has {} records, but its last line counts {records}", self.records)
            }
            (ExportFormat::Ndjson, None) => {
                bail!("the export was truncated after {} records: export it again", self.records)
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

/// A temporary file beside its destination. It is deleted unless it is committed.
struct PartialFile {
    file: BufWriter<File>,
    path: PathBuf,
    destination: PathBuf,
}

impl PartialFile {
    fn create(destination: &Path) -> anyhow::Result<Self> {
        let name =
            destination.file_name().with_context(|| format!("{} is not a file", destination.display()))?;
        if destination.is_dir() {
            bail!("{} is a directory: name a file in it", destination.display());
        }
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let path = destination.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path, destination: destination.to_owned() })
    }

    /// Renames the file to its destination.
    fn commit(mut self) -> anyhow::Result<()> {
        let committed = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let committed = committed.and_then(|()| std::fs::rename(&self.path, &self.destination));
        committed.with_context(|| format!("writing {}", self.destination.display()))
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        // After a commit there is no file of this name.
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn check(text: &str) -> Result<String, String> {
        let mut check = ExportCheck::new(ExportFormat::Ndjson);
        let pushed = text.as_bytes().chunks(7).try_for_each(|chunk| check.push(chunk));
        pushed.and_then(|()| check.finish()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_truncated_export_is_refused() {
        let record = "{\"record\":{}}\n";
        assert_eq!(
            check(&format!("{record}{record}{{\"end\":{{\"records\":2}}}}\n")),
            Ok("2 records, 0.1 kB".into())
        );
        let truncated = Err("the export was truncated after 1 records: export it again".to_owned());
        assert_eq!(check(record), truncated);
        assert_eq!(check(&format!("{record}{{\"end\":{{\"records\":1}}")), truncated);
        assert!(
            check(&format!("{record}{{\"end\":{{\"records\":2}}}}\n"))
                .is_err_and(|error| error.contains("counts 2"))
        );
        assert!(
            check(&format!("{{\"end\":{{\"records\":0}}}}\n{record}"))
                .is_err_and(|error| error.contains("lines after its end"))
        );
        assert!(check("<html>\n").is_err_and(|error| error.contains("not an export")));
    }

    #[test]
    fn a_file_appears_when_it_is_committed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shop.ndjson");
        let names = || std::fs::read_dir(folder.path()).expect("a folder").count();
        let mut partial = PartialFile::create(&path).expect("a file");
        partial.file.write_all(b"one").expect("it is written");
        assert!(!path.exists() && names() == 1);
        drop(partial);
        assert_eq!(names(), 0, "the temporary file is deleted");

        let mut partial = PartialFile::create(&path).expect("a file");
        partial.file.write_all(b"two").expect("it is written");
        partial.commit().expect("it is committed");
        assert_eq!((std::fs::read(&path).expect("a file"), names()), (b"two".to_vec(), 1));
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(PartialFile::create(folder.path()).is_err());
    }
}
