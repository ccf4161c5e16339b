//! The common part of the OpenAPI document for all paths about logs. Values of these types are never constructed.

use eventcenter_sdk::rest::ErrorResponse;
use utoipa::{IntoParams, IntoResponses};

/// The header that names the log.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "documentation: `authorization` reads the header")]
pub(super) struct TenantHeader {
    /// The same as the parameter `tenant`
    #[param(rename = "X-Tenant-Id")]
    tenant: Option<String>,
}

/// The common error responses. A handler can describe one differently after this.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documentation: `ApiError` is the response")]
pub(super) enum ErrorResponses {
    #[response(status = 400, description = "A parameter breaks a rule")]
    Invalid(ErrorResponse),
    #[response(status = 401, description = "No token, or one that Kubernetes does not accept")]
    Unauthenticated(ErrorResponse),
    #[response(status = 403, description = "No permission for this log")]
    Forbidden(ErrorResponse),
    #[response(status = 429, description = "Too many requests")]
    TooManyRequests(ErrorResponse),
    #[response(status = 503, description = "The log cannot be read or written")]
    Unavailable(ErrorResponse),
}
