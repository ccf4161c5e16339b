//! `eventctl audit export`: a log as a file, with all that is needed to verify it.

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
use super::lines::Lines;
use super::moment;
use super::question::Question;
use super::server::Server;
use crate::domain::audit::export::{End, Line};
use crate::kubernetes::Download;

const EXAMPLES: &str = "\
Examples:
  eventctl audit export --tenant shop --to shop.ndjson
  eventctl audit export --since 2026-11-01 --until 2026-12-01 --to november.ndjson
  eventctl audit export --format csv --outcome Denied > denied.csv

Exit codes: 0 the export is complete, 2 an error occurred.";

/// How often is told how much there is already.
const TELLING: Duration = Duration::from_secs(1);

/// Write a log, or those of its records that are asked for, to a file.
///
/// The lines of JSON can be verified without any server (eventctl audit verify --file): of records that the filter leaves
/// out the hashes are in it. That a log was exported is recorded in it as well.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(in super::super) struct Export {
    #[command(flatten)]
    question: Question,
    /// The file, which only its owner may read. Without it, standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// What the file is for.
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
    let filter = arguments.question.filter(&moment::now())?;
    let Export { to, format, server, question: _ } = arguments;
    let exported = async {
        let download = server.open().await?.export(&filter, *format).await?;
        match to {
            None => save(download, *format, &mut std::io::stdout().lock()).await.map(drop),
            Some(path) => {
                let mut partial = Partial::create(path)?;
                let saved = save(download, *format, &mut partial.file).await?;
                partial.keep()?;
                print_note(&format!("{}: {saved}", path.display()));
                Ok(())
            }
        }
    };
    block_on(async {
        tokio::select! {
            exported = exported => exported,
            _ = tokio::signal::ctrl_c() => bail!("the export was stopped: what was written is not all of it"),
        }
    })?;
    Ok(Answer { yes: true, text: String::new() })
}

/// Writes what comes, and says how much it was.
async fn save(mut download: Download, format: ExportFormat, out: &mut impl Write) -> anyhow::Result<String> {
    const WRITING: &str = "writing the export";
    let mut watched = Watched::new(format);
    let mut progress = Progress::start();
    while let Some(piece) = download.next().await? {
        out.write_all(&piece).context(WRITING)?;
        watched.push(&piece)?;
        progress.tell(&watched);
    }
    out.flush().context(WRITING)?;
    progress.end();
    watched.end()
}

/// What is known of an export while it comes.
struct Watched {
    format: ExportFormat,
    bytes: u64,
    records: u64,
    lines: Lines,
    end: Option<End>,
}

impl Watched {
    fn new(format: ExportFormat) -> Self {
        Self { format, bytes: 0, records: 0, lines: Lines::default(), end: None }
    }

    fn push(&mut self, piece: &[u8]) -> anyhow::Result<()> {
        self.bytes += piece.len() as u64;
        if self.format == ExportFormat::Csv {
            return Ok(());
        }
        self.lines.push(piece);
        while let Some(line) = self.lines.next() {
            if self.end.is_some() {
                bail!("something follows on the end of the export");
            } else if line.starts_with(br#"{"record":"#) {
                self.records += 1;
            } else if let Line::End(end) = serde_json::from_slice(&line).context("this is no export")? {
                self.end = Some(end);
            }
        }
        Ok(())
    }

    /// Whether all of it has come. A table has no end of its own: there it is the connection that says so.
    fn end(self) -> anyhow::Result<String> {
        match (self.format, &self.end) {
            (ExportFormat::Csv, _) => {}
            (ExportFormat::Ndjson, Some(End { records })) if *records == self.records => {}
            (ExportFormat::Ndjson, Some(End { records })) => {
                bail!("the export has {} records, and its end says {records}", self.records)
            }
            (ExportFormat::Ndjson, None) => {
                bail!("the export was cut off after {} records: ask for it again", self.records)
            }
        }
        Ok(self.to_string())
    }
}

impl std::fmt::Display for Watched {
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

/// Tells people on a terminal how far it is.
pub(super) struct Progress {
    last: Option<Instant>,
    told: bool,
}

impl Progress {
    /// Nothing has been done yet.
    pub(super) fn start() -> Self {
        Self { last: std::io::stderr().is_terminal().then(Instant::now), told: false }
    }

    /// This has been done, which is told once a second.
    pub(super) fn tell(&mut self, done: &impl std::fmt::Display) {
        if let Some(last) = self.last.as_mut().filter(|last| last.elapsed() >= TELLING) {
            *last = Instant::now();
            self.told = true;
            drop(write!(std::io::stderr(), "\r\u{1b}[2K{done}"));
        }
    }

    /// All has been done.
    pub(super) fn end(self) {
        if self.told {
            drop(write!(std::io::stderr(), "\r\u{1b}[2K"));
        }
    }
}

/// A file that is written beside the one it becomes, and goes if it does not.
struct Partial {
    file: BufWriter<File>,
    path: PathBuf,
    becomes: PathBuf,
}

impl Partial {
    fn create(becomes: &Path) -> anyhow::Result<Self> {
        let name = becomes.file_name().with_context(|| format!("{} is no file", becomes.display()))?;
        if becomes.is_dir() {
            bail!("{} is a folder: name a file in it", becomes.display());
        }
        let name = format!(".{}.{}", name.to_string_lossy(), std::process::id());
        let path = becomes.with_file_name(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let file = file.with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { file: BufWriter::with_capacity(1 << 20, file), path, becomes: becomes.to_owned() })
    }

    /// All of it is there.
    fn keep(mut self) -> anyhow::Result<()> {
        let kept = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        let kept = kept.and_then(|()| std::fs::rename(&self.path, &self.becomes));
        kept.with_context(|| format!("writing {}", self.becomes.display()))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // If it was kept, there is none of that name.
        drop(std::fs::remove_file(&self.path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn watched(text: &str) -> Result<String, String> {
        let mut watched = Watched::new(ExportFormat::Ndjson);
        let fed = text.as_bytes().chunks(7).try_for_each(|piece| watched.push(piece));
        fed.and_then(|()| watched.end()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_export_that_was_cut_off_is_seen() {
        let record = "{\"record\":{}}\n";
        assert_eq!(
            watched(&format!("{record}{record}{{\"end\":{{\"records\":2}}}}\n")),
            Ok("2 records, 0.1 kB".into())
        );
        let cut = Err("the export was cut off after 1 records: ask for it again".to_owned());
        assert_eq!(watched(record), cut);
        assert_eq!(watched(&format!("{record}{{\"end\":{{\"records\":1}}")), cut);
        assert!(
            watched(&format!("{record}{{\"end\":{{\"records\":2}}}}\n"))
                .is_err_and(|error| error.contains("says 2"))
        );
        assert!(
            watched(&format!("{{\"end\":{{\"records\":0}}}}\n{record}"))
                .is_err_and(|error| error.contains("follows"))
        );
        assert!(watched("<html>\n").is_err_and(|error| error.contains("no export")));
    }

    #[test]
    fn a_file_is_there_once_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("shop.ndjson");
        let names = || std::fs::read_dir(folder.path()).expect("a folder").count();
        let mut partial = Partial::create(&path).expect("a file");
        partial.file.write_all(b"one").expect("it is written");
        assert!(!path.exists() && names() == 1);
        drop(partial);
        assert_eq!(names(), 0, "what was not kept is gone");

        let mut partial = Partial::create(&path).expect("a file");
        partial.file.write_all(b"two").expect("it is written");
        partial.keep().expect("it is kept");
        assert_eq!((std::fs::read(&path).expect("a file"), names()), (b"two".to_vec(), 1));
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(Partial::create(folder.path()).is_err());
    }
}
