//! The annotations that exempt a resource from reconciliation.

use eventcenter_sdk::Reason;
use kube::ResourceExt;

use super::Refusal;
use crate::api::{MANAGED, PAUSED};

/// Whether the operator manages a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagementMode {
    /// It is managed, the default.
    Managed,
    /// Paused: nothing is changed until it is resumed, including deletion.
    Paused,
    /// Not managed by the operator.
    Unmanaged,
}

/// Parses the annotations [`MANAGED`] and [`PAUSED`].
///
/// # Errors
/// A value other than `true` or `false`: interpreting it wrongly could delete data.
pub fn management_mode(resource: &impl kube::Resource) -> Result<ManagementMode, Refusal> {
    let flag = |name: &str, default: bool| match resource.annotations().get(name).map(String::as_str) {
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
