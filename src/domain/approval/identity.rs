//! Which names belong to the same person, as a tenant declares it and otherwise in doubt.

use std::collections::BTreeMap;

use eventcenter_sdk::Reason;

use super::person::{PersonName, SYSTEM_PREFIX};
use crate::api;
use crate::domain::Refusal;

/// The people whom a tenant has declared, each with several names. The default declares nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// The position of the person who has a name, by [`PersonName::key`].
    people: BTreeMap<String, usize>,
    /// The local parts of each person's names.
    locals: Vec<Vec<String>>,
}

impl Identities {
    /// Parses `spec.approval.identities` of a Tenant. `automation` lists the users that apply what others have written.
    ///
    /// # Errors
    /// A name that belongs to two people, that is no name, or that is a name of automation or of Kubernetes itself.
    pub fn parse(declared: &[api::Identity], automation: &[String]) -> Result<Self, Refusal> {
        let mut identities = Self::default();
        for (index, identity) in declared.iter().enumerate() {
            let place = format!("spec.approval.identities[{index}]");
            let user = (format!("{place}.user"), &identity.user);
            if identity.user.trim().starts_with(SYSTEM_PREFIX) {
                return Err(invalid(&user.0, user.1, "is a name of Kubernetes itself: name a person"));
            }
            let aliases = identity.aliases.iter().enumerate();
            let aliases = aliases.map(|(number, alias)| (format!("{place}.aliases[{number}]"), alias));
            let mut locals = Vec::new();
            for (field, name) in std::iter::once(user).chain(aliases) {
                locals.push(identities.add(index, &field, name, automation)?);
            }
            identities.locals.push(locals);
        }
        Ok(identities)
    }

    /// Adds a name of a person. Returns its local part.
    fn add(
        &mut self,
        index: usize,
        field: &str,
        name: &str,
        automation: &[String],
    ) -> Result<String, Refusal> {
        let person = PersonName::parse(name);
        if person.local.is_empty() {
            return Err(invalid(field, name, "is no name: write a user name or the address of an author"));
        }
        if automation.iter().any(|robot| PersonName::parse(robot) == person) {
            return Err(invalid(
                field,
                name,
                "is listed in spec.approval.automation and so is no person: remove it from one of the two lists",
            ));
        }
        match self.people.insert(person.key, index) {
            Some(other) if other != index => Err(invalid(
                field,
                name,
                &format!(
                    "is already a name in spec.approval.identities[{other}], and a name belongs to one person: remove it from \
                     one of the two, or make them one entry"
                ),
            )),
            _ => Ok(person.local),
        }
    }

    /// Whether exactly this login or address, in any case, is declared to be a person's.
    #[must_use]
    pub fn contains(&self, address: &str) -> bool {
        self.people.contains_key(&address.to_lowercase())
    }

    /// Whether two names may belong to one person.
    ///
    /// Two declared names belong to one person if they are names of one entry. Of others the login or the part of the address
    /// before the `@` is compared, whatever the domain: in doubt two names are one person, which at worst requires another
    /// approver.
    #[must_use]
    pub fn may_be_same(&self, one: &str, other: &str) -> bool {
        let (one, other) = (PersonName::parse(one), PersonName::parse(other));
        let resembles = |index: usize, name: &PersonName| self.locals[index].contains(&name.local);
        match (self.find(&one), self.find(&other)) {
            (Some(one), Some(other)) => one == other,
            (Some(index), None) => resembles(index, &other),
            (None, Some(index)) => resembles(index, &one),
            (None, None) => one.local == other.local,
        }
    }

    fn find(&self, name: &PersonName) -> Option<usize> {
        self.people.get(&name.key).copied()
    }
}

fn invalid(field: &str, name: &str, rule: &str) -> Refusal {
    Refusal::at(Reason::InvalidResource, field.to_owned(), format!("{name:?} {rule}"))
}

#[cfg(test)]
mod tests;
