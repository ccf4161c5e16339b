//! The change that a manifest is.

use crate::domain::ObjectRef;
use crate::domain::admission::Change;

/// The change from the resource of the same name before, if there was one.
pub(super) fn change_of<'a, K: kube::Resource<DynamicType = ()>>(
    before: &'a [(usize, K)],
    new: &'a K,
) -> Change<'a, K> {
    match before.iter().map(|(_, old)| old).find(|old| ObjectRef::of(*old) == ObjectRef::of(new)) {
        Some(old) => Change::Update { old, new },
        None => Change::Create(new),
    }
}
