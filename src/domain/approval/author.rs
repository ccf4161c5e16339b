//! The author of a change, as the annotation [`AUTHORED_BY`](crate::api::AUTHORED_BY) names one.

use std::fmt;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use super::Rules;
use super::person::{PersonName, SYSTEM_PREFIX, service_account_name};

/// Maximum length of an author in bytes.
const MAX_LENGTH: usize = 512;

/// Exactly one person: `Alice Doe <alice@example.com>`, `alice@example.com` or `alice`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author(String);

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text does not name exactly one person: the rule and the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorError {
    /// Longer than 512 bytes.
    #[error("it is longer than {MAX_LENGTH} bytes: write {FORM}")]
    TooLong,
    /// A control, format or other invisible character.
    #[error("it contains the invisible character U+{:04X}: remove it, or write the address alone", u32::from(*.0))]
    Invisible(char),
    /// Several names, or what could be several.
    #[error(
        "it is a list: an approval needs one author, so merge the changes of several authors one after the other (a display \
         name with a comma is quoted)"
    )]
    List,
    /// Neither form.
    #[error("it has neither form of an author: write {FORM}")]
    Malformed,
    /// A character that the address or login must not have.
    #[error(
        "its address or login contains {0:?}: write {FORM}, in ASCII letters, digits and . _ + - ' = ~, or list the name as an \
         alias in spec.approval.identities of the Tenant"
    )]
    Character(char),
    /// An address or a login that nobody has.
    #[error("its address or login is incomplete: write {FORM}, with a letter or digit around every dot")]
    Incomplete,
    /// A user of Kubernetes itself, such as a service account.
    #[error("it is a user of Kubernetes itself and no person: name the author of the commit")]
    System,
    /// A user that applies what others have written.
    #[error(
        "it is a name of automation (spec.approval.automation) and no person: have the pipeline name the author of the commit"
    )]
    Automation,
    /// An address that does not tell whose it is.
    #[error(
        "a noreply address does not tell whose it is: commit with another address, or list this one as an alias in \
         spec.approval.identities of the Tenant"
    )]
    Noreply,
}

const FORM: &str = "one name, as in Alice Doe <alice@example.com>, alice@example.com or alice";

impl Author {
    /// Parses an author by the rules of a tenant.
    ///
    /// # Errors
    /// The text does not name exactly one person.
    pub fn parse(text: &str, rules: &Rules) -> Result<Self, AuthorError> {
        if text.len() > MAX_LENGTH {
            return Err(AuthorError::TooLong);
        }
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace());
        if let Some(invisible) = text.chars().find(|c| is_invisible(*c)) {
            return Err(AuthorError::Invisible(invisible));
        }
        let address = address(text)?;
        // What the tenant has declared needs no form.
        if !rules.identities().contains(address) {
            check_address(address)?;
        }
        if rules.automation().any(|robot| is_named(robot, address, rules)) {
            return Err(AuthorError::Automation);
        }
        Ok(Self(text.to_owned()))
    }
}

/// Whether a character cannot be seen, or changes how others are shown.
fn is_invisible(c: char) -> bool {
    // Letters, marks and symbols by their category, which are blank or do not show by themselves.
    let is_blank = matches!(
        c,
        '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}' | '\u{2800}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}' | '\u{E0100}'..='\u{E01EF}'
    );
    let is_space = c != ' ' && c.general_category_group() == GeneralCategoryGroup::Separator;
    is_blank || is_space || c.general_category_group() == GeneralCategoryGroup::Other
}

/// The address or login of `NAME <ADDRESS>` or `ADDRESS`.
fn address(text: &str) -> Result<&str, AuthorError> {
    let Some((name, rest)) = text.split_once('<') else {
        return match text {
            _ if text.contains([',', ';']) => Err(AuthorError::List),
            _ if text.is_empty() || text.contains([' ', '>']) => Err(AuthorError::Malformed),
            _ => Ok(text),
        };
    };
    let name = name.trim();
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    let is_quoted = quoted.is_some_and(|name| !name.contains('"'));
    if rest.contains('<') || (!is_quoted && name.contains([',', ';'])) {
        return Err(AuthorError::List);
    }
    let address = rest.strip_suffix('>').ok_or(AuthorError::Malformed)?;
    // A display name may repeat the address, and has no other.
    if name.contains('@') && !name.trim_matches('"').eq_ignore_ascii_case(address) {
        return Err(AuthorError::List);
    }
    match address {
        _ if address.contains([',', ';']) => Err(AuthorError::List),
        _ if address.is_empty() || address.contains([' ', '>']) || name.contains('>') => {
            Err(AuthorError::Malformed)
        }
        _ => Ok(address),
    }
}

/// Checks an address or login that the tenant has not declared.
fn check_address(address: &str) -> Result<(), AuthorError> {
    if address.get(..SYSTEM_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(SYSTEM_PREFIX)) {
        return Err(AuthorError::System);
    }
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "._+-'=~@".contains(c);
    if let Some(other) = address.chars().find(|c| !is_allowed(*c)) {
        return Err(AuthorError::Character(other));
    }
    let (local, domain) = match address.split_once('@') {
        Some((local, domain)) => (local, Some(domain)),
        None => (address, None),
    };
    if domain.is_some_and(|domain| domain.contains('@')) {
        return Err(AuthorError::Character('@'));
    }
    let mailbox = local.split('+').next().unwrap_or(local);
    let is_complete =
        |name: &str| name.split('.').all(|part| part.contains(|c: char| c.is_ascii_alphanumeric()));
    if !is_complete(mailbox) || !is_complete(local) || !domain.is_none_or(is_complete) {
        return Err(AuthorError::Incomplete);
    }
    match PersonName::parse(address).is_noreply() {
        true => Err(AuthorError::Noreply),
        false => Ok(()),
    }
}

/// Whether an address is a name of a user of automation, for a service account also without its namespace.
fn is_named(robot: &str, address: &str, rules: &Rules) -> bool {
    let robot = service_account_name(robot).unwrap_or(robot);
    rules.identities().may_be_same(robot, address)
}

#[cfg(test)]
mod tests;
