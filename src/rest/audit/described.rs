//! What all paths about a log have in common, for the description of the API. Nothing here is ever made.

use eventcenter_sdk::rest::ErrorResponse;
use utoipa::{IntoParams, IntoResponses};

/// The other way to name the log.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is described here, and read with the other headers")]
pub(super) struct TenantHeader {
    /// The same as the parameter `tenant`
    #[param(rename = "X-Tenant-Id")]
    tenant: Option<String>,
}

/// Why a question about a log may not be answered. Where something else is said of one of them, that stands after this.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it is described here, and answered as a failure")]
pub(super) enum Refusals {
    #[response(status = 400, description = "A parameter breaks a rule")]
    Parameter(ErrorResponse),
    #[response(status = 401, description = "No token, or none that Kubernetes accepts")]
    Nobody(ErrorResponse),
    #[response(status = 403, description = "No right to this log")]
    Forbidden(ErrorResponse),
    #[response(status = 429, description = "Too many requests")]
    TooMany(ErrorResponse),
    #[response(status = 503, description = "The log cannot be read or written")]
    Away(ErrorResponse),
}
