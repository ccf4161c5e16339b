//! Verifying an export, from a file or as the server sends it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use eventcenter_sdk::rest::audit::ExportFormat;
use tokio::sync::mpsc;

use super::super::super::file::{is_input, name};
use super::super::super::terminal::plain;
use super::super::export::Progress;
use super::super::lines::Lines;
use super::super::server::Log;
use super::report::{Conclusion, Found};
use super::witness::Trust;
use crate::domain::audit::Filter;
use crate::domain::audit::export::{ExportError, Header, Line, MAX_LINE_BYTES, Reader};
use crate::kubernetes::RestError;

/// How much of a file is read at a time.
const BUFFER: usize = 1 << 20;

/// How many pieces from the server may wait to be verified.
const AHEAD: usize = 64;

/// How an export's line with a record begins, and how it ends.
const RECORD: (&str, &str) = (r#"{"record":"#, "}");

/// Verifies the export in a file.
pub(super) async fn verify(
    path: &Path,
    installation: Option<&str>,
    trust: &Trust,
) -> anyhow::Result<Conclusion> {
    let opened: Box<dyn Read + Send> = match is_input(path) {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).with_context(|| format!("reading {}", name(path)))?),
    };
    let lines = FromFile(BufReader::with_capacity(BUFFER, opened));
    let (installation, trust) = (installation.map(str::to_owned), trust.clone());
    let verified = tokio::task::spawn_blocking(move || compare(lines, installation.as_deref(), &trust));
    verified.await.context("verifying")?.with_context(|| name(path))
}

/// Verifies what a server exports.
pub(super) async fn verify_export(
    log: &Log,
    installation: Option<&str>,
    trust: &Trust,
) -> anyhow::Result<Conclusion> {
    let mut download = log.export(&Filter::default(), ExportFormat::Ndjson).await?;
    let (sender, pieces) = mpsc::channel(AHEAD);
    let lines = FromServer { pieces, lines: Some(Lines::default()) };
    let (installation, trust) = (installation.map(str::to_owned), trust.clone());
    let verified = tokio::task::spawn_blocking(move || compare(lines, installation.as_deref(), &trust));
    while let Some(piece) = download.next().await.transpose() {
        let is_last = piece.is_err();
        // Nobody listens any more once something was found.
        if sender.send(piece).await.is_err() || is_last {
            break;
        }
    }
    drop(sender);
    verified.await.context("verifying")?.context("what the server exports")
}

/// Verifies lines.
fn compare(
    lines: impl Iterator<Item = anyhow::Result<Vec<u8>>>,
    installation: Option<&str>,
    trust: &Trust,
) -> anyhow::Result<Conclusion> {
    let mut progress = Progress::start();
    let mut reading: Option<(Header, Reader)> = None;
    for (count, line) in lines.enumerate() {
        let line = String::from_utf8(line?).map_err(|_| anyhow!("line {}: this is no text", count + 1))?;
        let (header, reader) = match &mut reading {
            Some(reading) => reading,
            None => {
                let header = header(&line)?;
                if let Some(expected) = installation
                    && expected != header.installation
                {
                    bail!(
                        "this is an export of the installation {}, not of {expected}",
                        plain(&header.installation)
                    );
                }
                let reader = Reader::new(trust.keys().clone(), trust.notes(&header.log));
                reading.insert((header, reader))
            }
        };
        if let Err(wrong) = reader.read_line(&line) {
            return conclude(wrong, header, &line);
        }
        progress.tell(&format_args!("{count} of {} records", header.size));
    }
    progress.end();
    let Some((header, reader)) = reading else { bail!("there is nothing in it") };
    match reader.finish() {
        Ok(verified) => Ok(Conclusion::new(header.log, Some(verified), Vec::new(), Vec::new())),
        Err(wrong) => conclude(wrong, &header, ""),
    }
}

/// The first line, which says whose log it is: so it is known what others say of it.
fn header(line: &str) -> anyhow::Result<Header> {
    match serde_json::from_str(line) {
        Ok(Line::Export(header)) => Ok(header),
        _ => bail!(
            "line 1: this is no export: it does not say of which log (a table of --format csv proves nothing)"
        ),
    }
}

/// What was found, with the record at which it was.
fn conclude(wrong: ExportError, header: &Header, line: &str) -> anyhow::Result<Conclusion> {
    match wrong {
        ExportError::Tampered(finding) => {
            let body = line.strip_prefix(RECORD.0).and_then(|line| line.strip_suffix(RECORD.1));
            let found = Found::at(finding, body.unwrap_or_default().as_bytes());
            Ok(Conclusion::new(header.log.clone(), None, vec![found], Vec::new()))
        }
        malformed @ ExportError::Malformed { .. } => Err(malformed.into()),
    }
}

/// Lines of a file. One that is too long is cut, and refused as such by whoever reads it.
struct FromFile<R>(BufReader<R>);

impl<R: Read> Iterator for FromFile<R> {
    type Item = anyhow::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut line, most) = (Vec::new(), MAX_LINE_BYTES as u64 + 2);
        match (&mut self.0).take(most).read_until(b'\n', &mut line) {
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

/// Lines as they come from the server.
struct FromServer {
    pieces: mpsc::Receiver<Result<Vec<u8>, RestError>>,
    lines: Option<Lines>,
}

impl Iterator for FromServer {
    type Item = anyhow::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let lines = self.lines.as_mut()?;
            if let Some(line) = lines.next() {
                return Some(Ok(line));
            }
            if lines.waiting() > MAX_LINE_BYTES {
                return Some(Err(anyhow!("a line is longer than {MAX_LINE_BYTES} bytes")));
            }
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => lines.push(&piece),
                Some(Err(error)) => return Some(Err(error.into())),
                None => return self.lines.take().and_then(Lines::rest).map(Ok),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_file_are_bounded() {
        let text = format!("one\n\n{}\nlast", "x".repeat(MAX_LINE_BYTES + 10));
        let lines: Vec<Vec<u8>> =
            FromFile(BufReader::new(text.as_bytes())).collect::<Result<_, _>>().expect("it can be read");
        let lengths: Vec<usize> = lines.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 0, MAX_LINE_BYTES + 2, 8, 4]);
    }

    #[test]
    fn what_is_no_export_is_told() {
        let told = |text: &str| {
            let lines = FromFile(BufReader::new(text.as_bytes()));
            compare(lines, None, &Trust::default()).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(told(""), Err("there is nothing in it".into()));
        assert!(told("time,actor\n").is_err_and(|error| error.contains("this is no export")));
        assert!(told("{\"end\":{\"records\":0}}\n").is_err_and(|error| error.contains("this is no export")));
    }

    #[test]
    fn lines_come_from_a_server_in_pieces() {
        let (sender, pieces) = mpsc::channel(8);
        for piece in ["one\ntw", "o", "\nthree"] {
            sender.try_send(Ok(Vec::from(piece))).expect("there is room");
        }
        drop(sender);
        let lines = FromServer { pieces, lines: Some(Lines::default()) };
        let lines: Vec<Vec<u8>> = lines.collect::<Result<_, _>>().expect("they come");
        assert_eq!(lines, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
    }
}
