//! The form in which a log leaves the house: lines of JSON, with all that is needed to verify them.
//!
//! 1. `{"export": …}`: which log, which filter, and what is left of records that were dropped.
//! 2. `{"checkpoint": "…"}`: signed notes. They come before the records, so that whoever reads knows at which places roots have
//!    to be compared, and reads once.
//! 3. `{"record": …}`, oldest first, and `{"gap": …}` for those that do not pass the filter: their hashes. A gap ends where a
//!    checkpoint does, and the next begins there: inside of one no root is known.
//! 4. `{"end": …}`: so that a file that was cut off is seen.

use eventcenter_sdk::merkle::{Hash, Range};
use eventcenter_sdk::rest::audit::{Filter, LogName};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::checkpoint::{TrustedKeys, is_installation, origin};
use super::verify::{Finding, Row, Verified, Verifier, Witnesses, shown};

/// The version of the form.
pub const VERSION: &str = "eventcenter.io/audit-export/v1";

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::large_enum_variant, reason = "one line at a time is in memory")]
pub enum Line {
    /// The first one.
    Export(Header),
    /// A record, in canonical JSON.
    Record(Box<RawValue>),
    /// Records that are not shown.
    Gap(Range),
    /// A signed note.
    Checkpoint(String),
    /// The last one.
    End(End),
}

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// [`VERSION`].
    pub version: String,
    /// The installation, which is part of the checkpoints' origin.
    pub installation: String,
    /// The log.
    pub log: LogName,
    /// What was asked for.
    pub filter: Filter,
    /// What is left of records that were dropped.
    pub dropped: Range,
    /// The chain up to there.
    pub chain: Hash,
    /// The number of records of the log, those that were dropped included.
    pub size: u64,
}

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How many records there were in the file.
    pub records: u64,
}

/// How long a line may be, in bytes.
pub const LONGEST_LINE: usize = 1024 * 1024;

/// How many signed notes there may be: they are kept in memory until their place comes.
const MOST_NOTES: usize = 100_000;

/// Why an export is not verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The log is not as it was written.
    #[error("{0}")]
    Found(Finding),
    /// The file is no export, or not all of one.
    #[error("line {line}: {why}")]
    Malformed {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Reads an export, a line after the other, and verifies it on the way.
#[derive(Debug)]
pub struct Reader {
    keys: TrustedKeys,
    /// Notes from elsewhere, and those of the export until the first record; each after what it is called.
    notes: Vec<(String, String)>,
    line: u64,
    header: Option<Header>,
    /// From the first line behind the notes on.
    verifier: Option<Verifier>,
    records: u64,
    is_ended: bool,
}

impl Reader {
    /// Begins. The notes are signed checkpoints from elsewhere, each after what it is called. Without keys nobody is believed,
    /// and the notes in the export are passed over.
    #[must_use]
    pub fn new(keys: TrustedKeys, notes: Vec<(String, String)>) -> Self {
        Self { keys, notes, line: 0, header: None, verifier: None, records: 0, is_ended: false }
    }

    /// What the export says that it is, once that was read.
    #[must_use]
    pub fn header(&self) -> Option<&Header> {
        self.header.as_ref()
    }

    /// The next line, without its end.
    ///
    /// # Errors
    /// It does not belong there, or the log is not as it was written. Nothing is to be read after it.
    pub fn line(&mut self, text: &str) -> Result<(), Unverified> {
        self.line += 1;
        if text.len() > LONGEST_LINE {
            return Err(self.malformed(format!("it is longer than {LONGEST_LINE} bytes")));
        }
        let line = serde_json::from_str(text).map_err(|error| {
            // For the parser each line is the first.
            let error = error.to_string().replace(" at line 1 column ", " at column ");
            self.malformed(format!("this is no line of an export: {}", shown(&error)))
        })?;
        match (line, &self.header) {
            (Line::Export(header), None) => self.header = Some(self.checked(header)?),
            (Line::Export(_), Some(_)) => return Err(self.malformed("another export begins")),
            (_, None) => {
                return Err(self.malformed("an export begins with a line that says what it is of"));
            }
            _ if self.is_ended => return Err(self.malformed("something stands behind the last line")),
            (Line::Checkpoint(note), _) => self.note(note)?,
            (Line::Record(record), _) => {
                let body = Box::<str>::from(record).into_string().into_bytes();
                let verifier = self.verifier()?;
                verifier.row(&Row { seq: verifier.next(), body, kept: None })?;
                self.records += 1;
            }
            (Line::Gap(gap), _) => self.verifier()?.gap(&gap)?,
            (Line::End(end), _) => {
                self.verifier()?;
                if end.records != self.records {
                    let (has, had) = (self.records, end.records);
                    let why = format!("there are {has} records in the file, and there were {had}");
                    return Err(self.malformed(why));
                }
                self.is_ended = true;
            }
        }
        Ok(())
    }

    /// The end of the file.
    ///
    /// # Errors
    /// It is not the end of the export, or the log is not as it was written.
    pub fn end(mut self) -> Result<Verified, Unverified> {
        match (self.verifier.take(), &self.header) {
            (Some(verifier), Some(header)) if self.is_ended => Ok(verifier.end(Some(header.size))?),
            _ => {
                self.line += 1;
                Err(self.malformed("the file ends here, and the export does not: a part of it is missing"))
            }
        }
    }

    fn malformed(&self, why: impl Into<String>) -> Unverified {
        Unverified::Malformed { line: self.line, why: why.into() }
    }

    /// The header, of which nothing is believed.
    fn checked(&self, header: Header) -> Result<Header, Unverified> {
        if header.version != VERSION {
            let version = shown(&header.version);
            return Err(self.malformed(format!("this version is not known: {version}; {VERSION} is")));
        }
        if !is_installation(&header.installation) {
            return Err(self.malformed("the installation has no name that it could have"));
        }
        if header.dropped.end() > header.size {
            return Err(self.malformed("more records were dropped than there were"));
        }
        Ok(header)
    }

    fn note(&mut self, note: String) -> Result<(), Unverified> {
        if self.verifier.is_some() {
            return Err(self.malformed("checkpoints stand before the records"));
        }
        if self.notes.len() >= MOST_NOTES {
            return Err(self.malformed("there are too many checkpoints"));
        }
        if !self.keys.is_empty() {
            self.notes.push((format!("the checkpoint in line {}", self.line), note));
        }
        Ok(())
    }

    /// The verifier; it begins when all notes are there.
    fn verifier(&mut self) -> Result<&mut Verifier, Unverified> {
        let verifier = match (self.verifier.take(), &self.header) {
            (Some(verifier), _) => verifier,
            (None, None) => {
                return Err(self.malformed("an export begins with a line that says what it is of"));
            }
            (None, Some(header)) => {
                let origin = origin(&header.installation, &header.log);
                let (witnesses, forged) = Witnesses::of(std::mem::take(&mut self.notes), &origin, &self.keys);
                if let Some(forged) = forged.into_iter().next() {
                    return Err(forged.into());
                }
                Verifier::new(header.log.clone(), header.dropped.clone(), header.chain, witnesses)
            }
        };
        Ok(self.verifier.insert(verifier))
    }
}

impl From<Finding> for Unverified {
    fn from(finding: Finding) -> Self {
        Self::Found(finding)
    }
}

#[cfg(test)]
mod tests;
