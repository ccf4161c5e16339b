//! Edits one value of a manifest and keeps everything else, including comments.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// The .yaml files under the folder, in order of their names.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(self::files(&path)?);
        } else if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Replaces the value at a path of keys in the document that contains all of `marks` as lines. `None` if there is no such
/// value.
pub(super) fn edit(text: &str, marks: &[&str], path: &[&str], value: &str) -> Option<String> {
    let mut start = 0;
    for document in text.split_inclusive("\n---") {
        let has = |mark: &&str| document.lines().any(|line| line.trim() == *mark);
        if marks.iter().all(has) {
            let mut at = 0;
            for key in path {
                at += find_key(&document[at..], key)?;
            }
            let rest = &document[at..];
            let blank = rest.len() - rest.trim_start_matches(' ').len();
            let end = rest[blank..].find(['\n', ',', '}', '#']).map_or(rest.len(), |end| blank + end);
            let end = blank + rest[blank..end].trim_end().len();
            let (from, to) = (start + at + blank, start + at + end);
            return (from < to).then(|| format!("{}{value}{}", &text[..from], &text[to..]));
        }
        start += document.len();
    }
    None
}

/// The manifest with another first bootstrap server. `None` if it has none.
pub(super) fn with_bootstrap(text: &str, address: &str) -> Option<String> {
    let at = find_key(text, "bootstrapServers")?;
    let from = at + text[at..].find(|c| !" \n-[\"'".contains(c))?;
    let to = text[from..].find(|c| " \n,]\"'#".contains(c)).map_or(text.len(), |length| from + length);
    Some(format!("{}{address}{}", &text[..from], &text[to..]))
}

/// The start of the value of a key. The key is at the start of a line or within braces.
fn find_key(text: &str, key: &str) -> Option<usize> {
    let word = format!("{key}:");
    text.match_indices(&word).find_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        before.is_none_or(|c| [' ', '\n', '{', ','].contains(&c)).then_some(at + word.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind: Tenant\nmetadata:\n  name: a\n---\nkind: EventTopic\nmetadata:\n  name: a\nspec:\n  \
                        partitions: 3 # three\n  retention: {time: 7d, size: 1Gi}\n---\nkind: EventTopic\nmetadata:\n  \
                        name: b\nspec:\n  retention:\n    time: 1d\n";

    #[test]
    fn only_the_value_changes() {
        let edited = edit(TEXT, &["kind: EventTopic", "name: a"], &["spec", "partitions"], "2")
            .expect("the value exists");
        assert_eq!(edited, TEXT.replace("partitions: 3 # three", "partitions: 2 # three"));
        let edited = edit(TEXT, &["kind: EventTopic", "name: a"], &["retention", "time"], "3d")
            .expect("the value exists");
        assert_eq!(edited, TEXT.replace("time: 7d,", "time: 3d,"));
        let edited = edit(TEXT, &["kind: EventTopic", "name: b"], &["retention", "time"], "3d")
            .expect("the value exists");
        assert_eq!(edited, TEXT.replace("time: 1d", "time: 3d"));
    }

    #[test]
    fn the_bootstrap_is_found_in_every_form() {
        for form in ["[HERE]", "[\"HERE\", b:2]", "\n    - HERE # local\n    - b:2", "\n  - 'HERE'\n"] {
            let text = format!("kind: KafkaCluster\nspec:\n  bootstrapServers: {form}\n  x: y\n");
            let filled = with_bootstrap(&text.replace("HERE", "localhost:9092"), "127.0.0.1:1");
            assert_eq!(filled, Some(text.replace("HERE", "127.0.0.1:1")));
        }
        assert_eq!(with_bootstrap("kind: Tenant\n", "127.0.0.1:1"), None);
    }

    #[test]
    fn what_is_not_there_is_not_edited() {
        assert_eq!(edit(TEXT, &["kind: EventTopic", "name: c"], &["spec"], "x"), None);
        assert_eq!(edit(TEXT, &["kind: EventTopic", "name: b"], &["partitions"], "x"), None);
        assert_eq!(edit(TEXT, &["kind: EventTopic", "name: a"], &["spec"], "x"), None, "no scalar");
    }
}
