//! The root of a log.

use eventcenter_sdk::Reason;
use eventcenter_sdk::merkle::Hash;

use crate::rest::response::ApiError;
use crate::store::Head;

/// The root of a whole log.
pub(super) fn root_of(head: &Head) -> Result<Hash, ApiError> {
    head.range.root().ok_or_else(|| {
        tracing::error!("the compact range of a log does not begin at its first record");
        let text = "the log has no root; the server's log has the cause under this request's id";
        ApiError::new(Reason::Internal, text)
    })
}
