//! The path of a field within a manifest, such as `spec.eventTypes[0].name`.

use std::fmt;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// The value under a key of a mapping.
    Key(String),
    /// An item of a sequence, counted from 0.
    Index(usize),
}

/// The path of a field within a manifest. The empty path is the whole manifest.
///
/// It is written as the API server writes it: keys that are not plain words stand in brackets, such as
/// `metadata.annotations[eventcenter.io/paused]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FieldPath(Vec<Segment>);

impl FieldPath {
    /// Parses a path as it is written. Every text is a path: what follows an opening bracket without a closing one is
    /// part of the key.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut path = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            if let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                let key = inside.trim_matches(['\'', '"']);
                path = match key.parse() {
                    Ok(index) if key == inside => path.index(index),
                    _ => path.key(key),
                };
                rest = after;
                continue;
            }
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).filter(|end| *end > 0).unwrap_or(rest.len());
            if end > 0 {
                path = path.key(&rest[..end]);
            }
            rest = &rest[end..];
        }
        path
    }

    /// The path of the value under a key.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The path of an item.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    /// This path followed by another.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self(self.0.iter().chain(&other.0).cloned().collect())
    }

    /// The steps from the manifest to the field.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether one of the two fields contains the other, or they are the same. The whole manifest overlaps with none.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let are_fields = !self.0.is_empty() && !other.0.is_empty();
        are_fields && self.0.iter().zip(&other.0).all(|(one, other)| one == other)
    }

    fn with(&self, segment: Segment) -> Self {
        Self(self.0.iter().cloned().chain([segment]).collect())
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if key.contains(['.', '/', '[']) || key.is_empty() => write!(f, "[{key}]")?,
                Segment::Key(key) if at == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_parsed_as_it_is_written() {
        for text in [
            "",
            "spec",
            "spec.partitions",
            "spec.eventTypes[0].name",
            "spec.bootstrapServers[12]",
            "metadata.annotations[eventcenter.io/paused]",
            "spec.config[retention.ms]",
        ] {
            assert_eq!(FieldPath::parse(text).to_string(), text);
        }
        assert_eq!(FieldPath::parse(".spec.config['retention.ms']").to_string(), "spec.config[retention.ms]");
        assert_eq!(FieldPath::parse("spec.[x").segments().len(), 2);
    }

    #[test]
    fn fields_overlap_if_one_contains_the_other() {
        let overlap = |one: &str, other: &str| FieldPath::parse(one).overlaps(&FieldPath::parse(other));
        assert!(overlap("spec.config", "spec.config[retention.ms]"));
        assert!(overlap("spec.config.a", "spec.config"));
        assert!(!overlap("", "spec") && !overlap("", ""));
        assert!(!overlap("spec.config", "spec.configs"));
        assert!(!overlap("spec.eventTypes[0]", "spec.eventTypes[1]"));
    }
}
