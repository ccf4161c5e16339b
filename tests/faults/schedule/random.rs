//! Random schedules, valid and invalid ones.

use std::collections::BTreeMap;

/// A query.
pub(super) struct Case {
    pub(super) from: i64,
    pub(super) zone: String,
    pub(super) n: usize,
    pub(super) expression: String,
}

/// Zones with unusual changes: at midnight, by other amounts than an hour, in Ramadan, of the standard time.
const UNUSUAL: &[&str] = &[
    "Europe/Berlin",
    "Europe/London",
    "Europe/Dublin",
    "America/New_York",
    "America/St_Johns",
    "America/Havana",
    "America/Sao_Paulo",
    "America/Asuncion",
    "America/Santiago",
    "America/Caracas",
    "America/Scoresbysund",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Amman",
    "Asia/Tehran",
    "Asia/Pyongyang",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Antarctica/Casey",
    "Pacific/Chatham",
    "Pacific/Apia",
    "Pacific/Fakaofo",
    "Pacific/Kiritimati",
    "Etc/UTC",
];

/// Zones that skipped a day in December 2011. The library searches for ever if it comes to that day.
const SKIPPED_A_DAY: &[&str] = &["Pacific/Apia", "Pacific/Fakaofo"];
const AFTER_THAT_DAY: i64 = 1_325_548_800;

const DAY: i64 = 86_400;
const FIELDS: [(i64, i64, &[&str]); 5] = [
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["jan", "FEB", "Mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    (0, 6, &["sun", "MON", "Tue", "wed", "thu", "fri", "sat"]),
];
const WORDS: &[&str] = &[
    "@yearly",
    "@annually",
    "@monthly",
    "@weekly",
    "@daily",
    "@midnight",
    "@hourly",
    "@every 1h30m",
    "@every 90s",
    "@every 1.5h",
    "@every -1h",
    "@every 0",
    "@every .5s",
    "@every 100\u{b5}s",
    "@every 36h1ms",
    "@every 1d",
    "@every",
    "@every  1h",
    "@reboot",
    "@hourly ",
    " @daily",
    "",
    " ",
    "TZ=UTC * * * * *",
    "CRON_TZ=UTC 0 0 * * *",
    "TZ=",
    "* * * TZ *",
    ", * * * *",
    "* , * * *",
    "* * , * *",
    "* * * , *",
    "* * * * ,",
    "* * , * ,",
    "0 0 5 * ,",
    "0 0 , * 3",
    ",,5,, * * * *",
    "*-x * * * *",
    "?-1-2-3/2 * * * *",
    "+5 * * * *",
    "-5 * * * *",
    "007 * * * *",
    "*/0 * * * *",
    "*/-2 * * * *",
    "*/9223372036854775807 * * * *",
    "*/9223372036854775808 * * * *",
    "5/ * * * *",
    "/5 * * * *",
    "1-2-3 * * * *",
    "1/2/3 * * * *",
    "1--2 * * * *",
    "0 0 * * FR\u{130}",
    "0 0 * * 7",
    "0 0 * * 0-7",
    "0 0 31 2 *",
    "0 0 29 2 *",
    "0 0 29 2 1",
    "0 0 30 2 ?",
    "0\u{a0}0\u{3000}* \u{2003}* *",
    "0 0 * * sun-sat",
    "0 0 * * sat-sun",
    "* * * * * *",
    "* * * *",
    "0_1 * * * *",
    "0x1 * * * *",
    "1e1 * * * *",
    "\u{661} * * * *",
    "0 0 1-31 * 1",
    "0 0 */1 * 1",
    "0 0 */2 * 1",
    "*/1 * * * *",
];
/// What replaces a character of a valid expression or zone.
const CHARACTERS: &[char] = &[
    '*', '/', '-', ',', '?', ' ', '\t', '0', '9', '7', 'a', 'T', 'Z', '@', '+', '.', '_', 'L', '#',
    '\u{130}', '\u{a0}', 'é',
];

/// A deterministic generator (SplitMix64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from `min` to `max` inclusive.
    fn between(&mut self, min: i64, max: i64) -> i64 {
        let width = max.abs_diff(min) + 1;
        min + i64::try_from(self.next() % width).expect("less than the width")
    }

    fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.next() % length as u64).expect("an index")
    }

    fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.index(values.len())]
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub(super) fn case(&mut self, zones: &BTreeMap<String, Vec<i64>>) -> Case {
        let unusual = *self.pick(UNUSUAL);
        let names: Vec<&String> = zones.keys().collect();
        let mut zone = match zones.contains_key(unusual) && self.percent(60) {
            true => unusual.to_owned(),
            false => (*self.pick(&names)).clone(),
        };
        let changes = &zones[&zone];
        let mut from = match self.percent(60) {
            true => *self.pick(changes) + self.between(-3 * DAY, 2 * DAY),
            false => self.between(super::FROM, super::UNTIL - 1),
        };
        if SKIPPED_A_DAY.contains(&&*zone) {
            from = from.max(AFTER_THAT_DAY);
        }
        let mut expression = self.expression();
        if self.percent(10) {
            expression = self.mutate(&expression);
        }
        if self.percent(4) {
            zone = match self.percent(50) {
                true => self.mutate(&zone),
                false => (*self.pick(&[
                    "", "Local", "LOCAL", "local", "/UTC", "Europe/", "utc", "../UTC", "a/./b", "-/UTC",
                ]))
                .to_owned(),
            };
        }
        Case { from: from.max(super::FROM), zone: zone.replace('\t', " "), n: self.index(20) + 1, expression }
    }

    fn expression(&mut self) -> String {
        if self.percent(12) {
            return (*self.pick(WORDS)).to_owned();
        }
        let fields: Vec<String> = FIELDS
            .iter()
            .enumerate()
            .map(|(index, field)| match self.percent([10, 35, 60, 70, 60][index]) {
                true => (*self.pick(&["*", "?", "*", "*/1"])).to_owned(),
                false => self.list(field),
            })
            .collect();
        fields.join(if self.percent(5) { "\t " } else { " " })
    }

    fn list(&mut self, field: &(i64, i64, &[&str])) -> String {
        let count = if self.percent(70) { 1 } else { self.between(2, 4) };
        (0..count).map(|_| self.range(field)).collect::<Vec<_>>().join(",")
    }

    fn range(&mut self, field: &(i64, i64, &[&str])) -> String {
        let (min, max, _) = *field;
        let range = match self.index(6) {
            0 => "*".to_owned(),
            1 | 2 => {
                let (start, end) = (self.between(min, max), self.between(min, max));
                format!("{}-{}", self.value(field, start.min(end)), self.value(field, start.max(end)))
            }
            _ => {
                let value = if self.percent(2) { self.between(-1, 70) } else { self.between(min, max) };
                self.value(field, value)
            }
        };
        if self.percent(35) { format!("{range}/{}", self.between(1, (max - min) / 2 + 3)) } else { range }
    }

    fn value(&mut self, (min, max, names): &(i64, i64, &[&str]), value: i64) -> String {
        let name = usize::try_from(value - min).ok().and_then(|index| names.get(index));
        match name {
            Some(name) if value <= *max && self.percent(30) => (*name).to_owned(),
            _ => value.to_string(),
        }
    }

    /// The text with one character replaced, inserted or removed.
    fn mutate(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        let at = self.index(characters.len() + 1);
        match self.index(3) {
            0 if at < characters.len() => drop(characters.remove(at)),
            1 if at < characters.len() => characters[at] = *self.pick(CHARACTERS),
            _ => characters.insert(at, *self.pick(CHARACTERS)),
        }
        characters.into_iter().collect()
    }
}
