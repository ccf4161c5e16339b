//! What becomes of an EventTopic.
//!
//! [`mod@identity`] says which Kafka topic it stands for, [`mod@claim`] who owns it if several resources
//! stand for the same, [`mod@right`] whether the operator may act, [`mod@declaration`] what it should look like, [`mod@plan`] what to change in Kafka
//! for that ([`value`]: which ways of writing a value are one to Kafka), [`mod@access`] who may use the topic and [`mod@grants`] what several resources allow together, [`mod@deletion`] what to do when the resource goes, [`mod@status`] what to say about it, and [`mod@adopt`] which resource stands for a topic as it is.

pub mod access;
pub mod adopt;
pub mod change;
pub mod declaration;
pub mod deletion;
pub mod diff;
pub mod grants;
pub mod identity;
pub mod plan;
pub mod quantity;
pub mod status;
pub mod validate;
pub mod value;

pub use declaration::Declared;
pub use grants::Grants;
pub use identity::Identity;
pub use plan::{Change, Observed, Plan, plan};
pub use validate::{Permission, ValidatedTopic, permission, validate};

use eventcenter_sdk::Reason;
use kube::ResourceExt;

use super::Refusal;
use crate::api::{EventTopic, MANAGED, PAUSED};

/// How much the operator may do for a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagementMode {
    /// Everything: the default.
    Managed,
    /// Nothing until it is resumed, deletion included.
    Paused,
    /// Nothing ever: the Kafka topic is somebody else's.
    Unmanaged,
}

/// Reads the annotations that take a resource out of the operator's hands.
///
/// # Errors
/// A value other than `true` or `false`, because guessing what was meant could delete data.
pub fn management_mode(topic: &EventTopic) -> Result<ManagementMode, Refusal> {
    let flag = |name: &str, default: bool| match topic.annotations().get(name).map(String::as_str) {
        None => Ok(default),
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(Refusal::at(
            Reason::InvalidResource,
            format!("metadata.annotations[{name}]"),
            "the value is \"true\" or \"false\"; correct or remove it",
        )),
    };
    Ok(match (flag(MANAGED, true)?, flag(PAUSED, false)?) {
        (false, _) => ManagementMode::Unmanaged,
        (true, true) => ManagementMode::Paused,
        (true, false) => ManagementMode::Managed,
    })
}
