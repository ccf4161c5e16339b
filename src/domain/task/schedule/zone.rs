//! Time zones: the names that Kubernetes accepts in `spec.timeZone` of a CronJob.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::quote::quote;

/// The zone of a schedule that names none.
pub const DEFAULT_ZONE: &str = "Etc/UTC";

/// Suggestions differ from the name by at most this number of edits.
const MAX_EDITS: usize = 2;
/// The longest component of a name.
const MAX_COMPONENT: usize = 14;

/// The database that is compiled in: an image has none, and two machines may have different ones.
static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
static NAMES: LazyLock<BTreeSet<String>> =
    LazyLock::new(|| DATABASE.available().map(|name| name.as_str().to_owned()).collect());

/// Why a text is not the name of a time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidZone {
    /// The name has no characters.
    #[error(
        "the time zone is empty: write an IANA name, such as Europe/Berlin, or omit the field for {DEFAULT_ZONE}"
    )]
    Empty,
    /// The name is `Local`.
    #[error(
        "Local is not a time zone: every machine has another one. Write an IANA name, such as Europe/Berlin"
    )]
    Local,
    /// The database has no such zone.
    #[error("{} is not a time zone: write an IANA name{}", quote(name), suggest(.nearest.as_deref()))]
    Unknown {
        /// The name.
        name: String,
        /// A similar name that the database has.
        nearest: Option<String>,
    },
}

fn suggest(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!(". The nearest one is {nearest}"),
        None => ", such as Europe/Berlin".to_owned(),
    }
}

/// Parses the name of a time zone, such as `Europe/Berlin`. Upper and lower case differ, as in Kubernetes.
///
/// # Errors
///
/// If the name is empty, `Local`, or not in the database.
pub fn parse_zone(name: &str) -> Result<TimeZone, InvalidZone> {
    if name.is_empty() {
        return Err(InvalidZone::Empty);
    }
    if name.eq_ignore_ascii_case("local") {
        return Err(InvalidZone::Local);
    }
    let unknown = || InvalidZone::Unknown { name: name.to_owned(), nearest: find_nearest(name) };
    if !NAMES.contains(name) || !name.split('/').all(is_valid_component) {
        return Err(unknown());
    }
    DATABASE.get(name).map_err(|_| unknown())
}

/// The API server's rule, which is stricter than the database.
fn is_valid_component(component: &str) -> bool {
    !matches!(component, "" | "." | "..")
        && !component.starts_with('-')
        && component.len() <= MAX_COMPONENT
        && component.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_+".contains(&byte))
}

/// The most similar name, compared as a whole and by its last component: `Berlin` is near `Europe/Berlin`.
fn find_nearest(name: &str) -> Option<String> {
    // Longer than any name: not worth the comparison.
    if name.len() > 64 {
        return None;
    }
    let normalize = |text: &str| text.to_lowercase().replace(' ', "_");
    let wanted = normalize(name);
    NAMES
        .iter()
        .filter(|candidate| candidate.split('/').all(is_valid_component))
        .map(|candidate| {
            let normal = normalize(candidate);
            let city = normal.rsplit('/').next().unwrap_or(&normal);
            let whole = strsim::osa_distance(&wanted, &normal);
            (whole.min(strsim::osa_distance(&wanted, city)), whole, candidate)
        })
        .min()
        .filter(|(edits, ..)| *edits <= MAX_EDITS)
        .map(|(.., candidate)| candidate.clone())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn iana_names_are_time_zones() {
        for name in
            [DEFAULT_ZONE, "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST"]
        {
            assert_eq!(parse_zone(name).expect(name).iana_name(), Some(name));
        }
    }

    #[test]
    fn errors_name_the_rule_and_the_nearest_zone() {
        let names = [
            "",
            "Local",
            "local",
            "Europe/Berlln",
            "europe/berlin",
            "Berlin",
            "New York",
            "Europe/Atlantis",
            "CEST",
            "/Europe/Berlin",
            "Europe//Berlin",
            "../Europe/Berlin",
            "Europe/Berlin/",
            "Europe",
            "+02:00",
            "A name that is much longer than that of any time zone on this planet",
        ];
        let errors: String =
            names.iter().map(|name| format!("{}\n", parse_zone(name).expect_err(name))).collect();
        expect![[r#"
            the time zone is empty: write an IANA name, such as Europe/Berlin, or omit the field for Etc/UTC
            Local is not a time zone: every machine has another one. Write an IANA name, such as Europe/Berlin
            Local is not a time zone: every machine has another one. Write an IANA name, such as Europe/Berlin
            "Europe/Berlln" is not a time zone: write an IANA name. The nearest one is Europe/Berlin
            "europe/berlin" is not a time zone: write an IANA name. The nearest one is Europe/Berlin
            "Berlin" is not a time zone: write an IANA name. The nearest one is Europe/Berlin
            "New York" is not a time zone: write an IANA name. The nearest one is America/New_York
            "Europe/Atlantis" is not a time zone: write an IANA name, such as Europe/Berlin
            "CEST" is not a time zone: write an IANA name. The nearest one is CET
            "/Europe/Berlin" is not a time zone: write an IANA name. The nearest one is Europe/Berlin
            "Europe//Berlin" is not a time zone: write an IANA name. The nearest one is Europe/Berlin
            "../Europe/Berlin" is not a time zone: write an IANA name, such as Europe/Berlin
            "Europe/Berlin/" is not a time zone: write an IANA name. The nearest one is Europe/Berlin
            "Europe" is not a time zone: write an IANA name, such as Europe/Berlin
            "+02:00" is not a time zone: write an IANA name, such as Europe/Berlin
            "A name that is much longer than that of "… is not a time zone: write an IANA name, such as Europe/Berlin
        "#]]
        .assert_eq(&errors);
    }
}
