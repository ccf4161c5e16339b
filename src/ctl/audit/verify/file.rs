//! Verifies an export from a file or from the server.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use eventcenter_sdk::rest::audit::ExportFormat;
use tokio::sync::mpsc;

use super::super::super::file::{is_input, name};
use super::super::super::terminal::plain;
use super::super::line_buffer::LineBuffer;
use super::super::log_client::LogClient;
use super::super::progress_line::ProgressLine;
use super::options::VerifyOptions;
use super::report::{LocatedFinding, LogReport};
use super::trust::Trust;
use crate::domain::audit::Filter;
use crate::domain::audit::export::{ExportError, Header, Line, MAX_LINE_BYTES, Reader};
use crate::domain::audit::verify::{Unverified, Verified};
use crate::kubernetes::RestError;

/// Size of the read buffer in bytes.
const BUFFER_BYTES: usize = 1 << 20;

/// Maximum number of downloaded chunks that are not verified yet.
const MAX_PENDING_CHUNKS: usize = 64;

/// What surrounds the record in a line of an export.
const RECORD_PREFIX: &str = r#"{"record":"#;
const RECORD_SUFFIX: &str = "}";

/// Verifies the export in a file.
pub(super) async fn verify(path: &Path, trust: &Trust, options: &VerifyOptions) -> anyhow::Result<LogReport> {
    let opened: Box<dyn Read + Send> = match is_input(path) {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).with_context(|| format!("reading {}", name(path)))?),
    };
    let lines = FileLines(BufReader::with_capacity(BUFFER_BYTES, opened));
    let (trust, options) = (trust.clone(), options.clone());
    let verified = tokio::task::spawn_blocking(move || verify_lines(lines, &trust, &options));
    verified.await.context("verifying")?.with_context(|| name(path))
}

/// Verifies an export of the server, which is requested without a filter and therefore must not have one.
pub(super) async fn verify_export(
    log: &LogClient,
    trust: &Trust,
    options: &VerifyOptions,
) -> anyhow::Result<LogReport> {
    let mut download = log.export(&Filter::default(), ExportFormat::Ndjson).await?;
    let (sender, chunks) = mpsc::channel(MAX_PENDING_CHUNKS);
    let lines = DownloadLines { chunks, buffer: Some(LineBuffer::default()) };
    let (trust, options) = (trust.clone(), VerifyOptions { accepts_filter: false, ..options.clone() });
    let verified = tokio::task::spawn_blocking(move || verify_lines(lines, &trust, &options));
    while let Some(chunk) = download.next().await.transpose() {
        let is_last = chunk.is_err();
        // The verification closes the channel at the first finding.
        if sender.send(chunk).await.is_err() || is_last {
            break;
        }
    }
    drop(sender);
    verified.await.context("verifying")?.context("the export of the server")
}

/// Verifies the lines of an export.
fn verify_lines(
    lines: impl Iterator<Item = anyhow::Result<Vec<u8>>>,
    trust: &Trust,
    options: &VerifyOptions,
) -> anyhow::Result<LogReport> {
    let mut progress = ProgressLine::start();
    let mut started: Option<(Header, Reader)> = None;
    for (count, line) in lines.enumerate() {
        let line = String::from_utf8(line?).map_err(|_| anyhow!("line {}: this is not UTF-8", count + 1))?;
        let (header, reader) = match &mut started {
            Some(started) => started,
            None => {
                let header = parse_header(&line)?;
                if let Some(expected) = &options.installation
                    && *expected != header.installation
                {
                    bail!(
                        "this is an export of the installation {}, not of {expected}",
                        plain(&header.installation)
                    );
                }
                let reader = Reader::new(
                    trust.keys().clone(),
                    if trust.has_keys() { trust.notes(&header.log) } else { Vec::new() },
                );
                started.insert((header, reader))
            }
        };
        if let Err(error) = reader.read_line(&line) {
            return report(error, header, &line);
        }
        progress.print(&format_args!("{count} of {} records", header.size));
    }
    progress.finish();
    let Some((header, reader)) = started else { bail!("the export is empty") };
    match reader.finish() {
        Ok(verified) => Ok(report_verified(&header, verified, options)),
        Err(error) => report(error, &header, ""),
    }
}

/// Parses the first line, which names the log.
fn parse_header(line: &str) -> anyhow::Result<Header> {
    match serde_json::from_str(line) {
        Ok(Line::Export(header)) => Ok(header),
        _ => bail!(
            "line 1: this is not an export: it does not name the log (exports in --format csv cannot be verified)"
        ),
    }
}

/// Reports an export without a finding.
fn report_verified(header: &Header, verified: Verified, options: &VerifyOptions) -> LogReport {
    let mut assessment = verified.assess(options.requirements);
    let filtered = header.has_filter().then(|| Unverified::Filtered {
        filter: header.filter.to_string(),
        omitted: verified.omitted,
        all: verified.omitted + verified.records,
    });
    let (accepted, refused) = if options.accepts_filter { (filtered, None) } else { (None, filtered) };
    assessment.unverified.extend(refused);
    LogReport::of_verified(verified, assessment, Vec::new(), accepted)
}

/// Reports a finding with its record.
fn report(error: ExportError, header: &Header, line: &str) -> anyhow::Result<LogReport> {
    match error {
        ExportError::Tampered(finding) => {
            let body = line.strip_prefix(RECORD_PREFIX).and_then(|line| line.strip_suffix(RECORD_SUFFIX));
            let found = LocatedFinding::new(finding, body.unwrap_or_default().as_bytes());
            Ok(LogReport::of_finding(header.log.clone(), found, Vec::new()))
        }
        malformed @ ExportError::Malformed { .. } => Err(malformed.into()),
    }
}

/// The lines of a file. A line that is too long is truncated; the reader refuses it.
struct FileLines<R>(BufReader<R>);

impl<R: Read> Iterator for FileLines<R> {
    type Item = anyhow::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut line, limit) = (Vec::new(), MAX_LINE_BYTES as u64 + 2);
        match (&mut self.0).take(limit).read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                Some(Ok(line))
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// The lines of a download.
struct DownloadLines {
    chunks: mpsc::Receiver<Result<Vec<u8>, RestError>>,
    buffer: Option<LineBuffer>,
}

impl Iterator for DownloadLines {
    type Item = anyhow::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let buffer = self.buffer.as_mut()?;
            if let Some(line) = buffer.next_line() {
                return Some(Ok(line));
            }
            if buffer.incomplete_len() > MAX_LINE_BYTES {
                return Some(Err(anyhow!("a line is longer than {MAX_LINE_BYTES} bytes")));
            }
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => buffer.push(&chunk),
                Some(Err(error)) => return Some(Err(error.into())),
                None => return self.buffer.take().and_then(LineBuffer::into_rest).map(Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_file_are_bounded() {
        let text = format!("one\n\n{}\nlast", "x".repeat(MAX_LINE_BYTES + 10));
        let lines: Vec<Vec<u8>> =
            FileLines(BufReader::new(text.as_bytes())).collect::<Result<_, _>>().expect("readable");
        let lengths: Vec<usize> = lines.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 0, MAX_LINE_BYTES + 2, 8, 4]);
    }

    #[test]
    fn other_text_is_refused() {
        let check = |text: &str| {
            let lines = FileLines(BufReader::new(text.as_bytes()));
            verify_lines(lines, &Trust::default(), &VerifyOptions::default())
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(check(""), Err("the export is empty".into()));
        assert!(check("time,actor\n").is_err_and(|error| error.contains("this is not an export")));
        assert!(
            check("{\"end\":{\"records\":0}}\n").is_err_and(|error| error.contains("this is not an export"))
        );
    }

    #[test]
    fn chunks_of_a_download_are_split_into_lines() {
        let (sender, chunks) = mpsc::channel(8);
        for chunk in ["one\ntw", "o", "\nthree"] {
            sender.try_send(Ok(Vec::from(chunk))).expect("capacity");
        }
        drop(sender);
        let lines = DownloadLines { chunks, buffer: Some(LineBuffer::default()) };
        let lines: Vec<Vec<u8>> = lines.collect::<Result<_, _>>().expect("no error");
        assert_eq!(lines, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    }
}
