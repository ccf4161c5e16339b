//! The export format: JSON lines (`application/x-ndjson`) that contain everything needed to verify them.
//!
//! 1. `{"export": …}`: the log, the filter, and the hashes of dropped records.
//! 2. `{"checkpoint": "…"}`: signed notes. They precede the records, so that a reader knows in advance at which sizes it has to
//!    compare roots, and reads the file once.
//! 3. `{"record": …}`, oldest first, and `{"gap": …}` with the hashes of records that do not match the filter. A gap does not
//!    span a checkpoint, because the root is unknown within a gap. An export without a filter has no gaps. One with a filter has
//!    only records that match, and the record which shows that the retention dropped the first records.
//! 4. `{"end": …}`: shows that the file is complete.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::checkpoint::{Checkpoint, TrustedKeys, is_valid_installation, origin};
use super::drop::DroppedRecords;
use super::verify::{Finding, Row, TrustedCheckpoints, Verified, Verifier, printable};
use eventcenter_sdk::merkle::{Hash, Range};
use eventcenter_sdk::rest::audit::{Filter, LogName, Record};

/// Version of the format.
pub const VERSION: &str = "eventcenter.io/audit-export/v1";

/// A line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "one line at a time is in memory")]
pub enum Line {
    /// The first line.
    Export(Header),
    /// A record, in canonical JSON.
    Record(Box<RawValue>),
    /// Omitted records.
    Gap(Range),
    /// A signed checkpoint.
    Checkpoint(String),
    /// The last line.
    End(End),
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`VERSION`].
    pub version: String,
    /// The installation; part of the origin of the checkpoints.
    pub installation: String,
    /// The log.
    pub log: LogName,
    /// Selects the exported records.
    pub filter: Filter,
    /// The hashes of dropped records.
    pub dropped: Range,
    /// The hash chain after the dropped records.
    pub chain: Hash,
    /// The number of records of the log, including dropped ones.
    pub size: u64,
}

impl Header {
    /// Whether the export may leave records out.
    #[must_use]
    pub fn has_filter(&self) -> bool {
        self.filter != Filter::default()
    }
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The number of records in the file.
    pub records: u64,
}

/// Maximum length of a line, in bytes.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Maximum number of checkpoints: they stay in memory until their size is reached. The server exports the newest 100.
const MAX_CHECKPOINTS: usize = 1_000;

const NO_HEADER: &str = "the first line of an export is its header";

/// The verification of an export failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The log was tampered with.
    #[error("{0}")]
    Tampered(Finding),
    /// The file is not a complete export.
    #[error("line {line}: {problem}")]
    Malformed {
        /// The number of the line, counted from 1.
        line: u64,
        /// The problem with the line.
        problem: String,
    },
}

/// Reads an export line by line and verifies it.
#[derive(Debug)]
pub struct Reader {
    keys: TrustedKeys,
    /// The given notes with their sources, until the header names the log that they have to cover.
    given_notes: Vec<(String, String)>,
    /// The checkpoints with a trusted signature: those given, and those of the export. Only the verified values are kept, because
    /// notes may be large.
    checkpoints: TrustedCheckpoints,
    /// The number of checkpoints in the export.
    checkpoint_lines: usize,
    line: u64,
    header: Option<Header>,
    /// Created by the first line after the checkpoints.
    verifier: Option<Verifier>,
    records: u64,
    is_complete: bool,
}

impl Reader {
    /// Creates a reader. `notes` are additional signed checkpoints, each preceded by its source for error messages. Without
    /// keys the checkpoints in the export are ignored.
    #[must_use]
    pub fn new(keys: TrustedKeys, notes: Vec<(String, String)>) -> Self {
        Self {
            keys,
            given_notes: notes,
            checkpoints: TrustedCheckpoints::default(),
            checkpoint_lines: 0,
            line: 0,
            header: None,
            verifier: None,
            records: 0,
            is_complete: false,
        }
    }

    /// The header, once it was read.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// Reads the next line, without its line break.
    ///
    /// # Errors
    /// The line is malformed or misplaced, or the log was tampered with. The reader cannot be used afterwards.
    pub fn read_line(&mut self, text: &str) -> Result<(), ExportError> {
        self.line += 1;
        if text.len() > MAX_LINE_BYTES {
            return Err(self.malformed(format!("it is longer than {MAX_LINE_BYTES} bytes")));
        }
        let line = serde_json::from_str(text).map_err(|error| {
            // The parser counts each line as the first.
            let error = error.to_string().replace(" at line 1 column ", " at column ");
            self.malformed(format!("not a line of an export: {}", printable(&error)))
        })?;
        match (line, &self.header) {
            (Line::Export(header), None) => self.add_header(header)?,
            (Line::Export(_), Some(_)) => return Err(self.malformed("a second header")),
            (_, None) => return Err(self.malformed(NO_HEADER)),
            _ if self.is_complete => {
                return Err(self.malformed("unexpected line after the end of the export"));
            }
            (Line::Checkpoint(note), _) => self.add_checkpoint(&note)?,
            (Line::Record(record), _) => {
                let body = Box::<str>::from(record).into_string().into_bytes();
                let verifier = self.verifier()?;
                let row = Row { seq: verifier.next_seq(), body, stored: None };
                verifier.verify_row(&row)?;
                self.check_filter(&row.body)?;
                self.records += 1;
            }
            (Line::Gap(gap), _) => self.read_gap(&gap)?,
            (Line::End(end), _) => {
                self.verifier()?;
                if end.records != self.records {
                    let (found, expected) = (self.records, end.records);
                    return Err(self.malformed(format!("expected {expected} records, found {found}")));
                }
                self.is_complete = true;
            }
        }
        Ok(())
    }

    /// Finishes the verification at the end of the file.
    ///
    /// # Errors
    /// The export is incomplete, or the log was tampered with.
    pub fn finish(mut self) -> Result<Verified, ExportError> {
        match (self.verifier.take(), &self.header) {
            (Some(verifier), Some(header)) if self.is_complete => Ok(verifier.finish(Some(header.size))?),
            _ => {
                self.line += 1;
                Err(self.malformed("unexpected end of file: the export is incomplete"))
            }
        }
    }

    fn malformed(&self, problem: impl Into<String>) -> ExportError {
        ExportError::Malformed { line: self.line, problem: problem.into() }
    }

    /// Validates the header, which is untrusted input.
    fn check_header(&self, header: Header) -> Result<Header, ExportError> {
        if header.version != VERSION {
            let version = printable(&header.version);
            return Err(self.malformed(format!("unsupported version {version}, supported is {VERSION}")));
        }
        if !is_valid_installation(&header.installation) {
            return Err(self.malformed("invalid name of the installation"));
        }
        if header.dropped.end() > header.size {
            return Err(self.malformed("more records were dropped than the log has"));
        }
        Ok(header)
    }

    fn add_header(&mut self, header: Header) -> Result<(), ExportError> {
        let header = self.check_header(header)?;
        let origin = origin(&header.installation, &header.log);
        let notes = std::mem::take(&mut self.given_notes);
        let (checkpoints, untrusted) = TrustedCheckpoints::verify(notes, &origin, &self.keys);
        if let Some(untrusted) = untrusted.into_iter().next() {
            return Err(untrusted.into());
        }
        (self.checkpoints, self.header) = (checkpoints, Some(header));
        Ok(())
    }

    /// Verifies a checkpoint of the export. Without keys it is ignored.
    fn add_checkpoint(&mut self, note: &str) -> Result<(), ExportError> {
        let Some(header) = &self.header else { return Err(self.malformed(NO_HEADER)) };
        if self.verifier.is_some() {
            return Err(self.malformed("unexpected checkpoint after the first record"));
        }
        self.checkpoint_lines += 1;
        if self.checkpoint_lines > MAX_CHECKPOINTS {
            return Err(self.malformed(format!("more than {MAX_CHECKPOINTS} checkpoints")));
        }
        if self.keys.is_empty() {
            return Ok(());
        }
        let source = format!("the checkpoint in line {}", self.line);
        match Checkpoint::verify(note, &origin(&header.installation, &header.log), &self.keys) {
            Ok(checkpoint) => self.checkpoints.checkpoints.push((checkpoint, source)),
            Err(error) => {
                return Err(Finding::UntrustedCheckpoint { source, problem: error.to_string() }.into());
            }
        }
        Ok(())
    }

    /// Checks that a record matches the filter of the export, or shows that the retention dropped records.
    fn check_filter(&self, body: &[u8]) -> Result<(), ExportError> {
        let Some(Header { filter, .. }) = self.header.as_ref().filter(|header| header.has_filter()) else {
            return Ok(());
        };
        // A record that cannot be parsed is a finding of the verifier.
        let Ok(record) = serde_json::from_slice::<Record>(body) else { return Ok(()) };
        // The record that completes another one may be omitted.
        if filter.matches(&record, false) || DroppedRecords::parse(&record).is_some() {
            return Ok(());
        }
        let (seq, id, filter) = (record.seq, record.id.to_string(), filter.to_string());
        Err(Finding::FilterMismatch { seq, id, filter }.into())
    }

    fn read_gap(&mut self, gap: &Range) -> Result<(), ExportError> {
        let has_filter = self.header.as_ref().is_some_and(Header::has_filter);
        self.verifier()?.verify_gap(gap)?;
        match has_filter || gap.start() == gap.end() {
            true => Ok(()),
            false => Err(Finding::Omitted { from: gap.start(), to: gap.end() }.into()),
        }
    }

    /// Returns the verifier, which is created once all checkpoints were read.
    fn verifier(&mut self) -> Result<&mut Verifier, ExportError> {
        let verifier = match (self.verifier.take(), &self.header) {
            (Some(verifier), _) => verifier,
            (None, None) => return Err(self.malformed(NO_HEADER)),
            (None, Some(header)) => {
                let checkpoints = std::mem::take(&mut self.checkpoints);
                Verifier::new(header.log.clone(), header.dropped.clone(), header.chain, checkpoints)
            }
        };
        Ok(self.verifier.insert(verifier))
    }
}

impl From<Finding> for ExportError {
    fn from(finding: Finding) -> Self {
        Self::Tampered(finding)
    }
}

#[cfg(test)]
mod tests;
