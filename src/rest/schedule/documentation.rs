//! The common part of the OpenAPI document for all paths about tasks. Values of these types are never constructed.

use eventcenter_sdk::rest::ErrorResponse;
use utoipa::{IntoParams, IntoResponses};

use crate::rest::parameter::QueryParameters;
use crate::rest::response::ApiError;

/// The parameters that name a tenant.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct TenantParameter {
    /// Only tasks of this tenant; the same as the header `X-Tenant-Id`.
    pub(super) tenant: Option<String>,
}

impl TenantParameter {
    pub(super) const NAMES: [&str; 1] = ["tenant"];

    pub(super) fn read(query: &mut QueryParameters) -> Result<Self, ApiError> {
        Ok(Self { tenant: query.text("tenant")? })
    }
}

/// The parameters of pages.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct PageParameters {
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 50)]
    pub(super) limit: Option<u64>,
    /// `next` of the previous page, with the same filter.
    pub(super) cursor: Option<String>,
}

impl PageParameters {
    pub(super) const NAMES: [&str; 2] = ["limit", "cursor"];
    const MAX_PAGE_SIZE: u64 = 500;
    const DEFAULT_PAGE_SIZE: u64 = 50;

    pub(super) fn read(query: &mut QueryParameters) -> Result<Self, ApiError> {
        Ok(Self { limit: query.number("limit", 1..=Self::MAX_PAGE_SIZE)?, cursor: query.text("cursor")? })
    }

    /// The maximum number of items.
    pub(super) fn limit(&self) -> usize {
        usize::try_from(self.limit.unwrap_or(Self::DEFAULT_PAGE_SIZE)).unwrap_or(1)
    }
}

/// The common error responses. A handler can describe one differently after this.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "documentation: `ApiError` is the response")]
pub(super) enum ErrorResponses {
    #[response(status = 400, description = "A parameter or the body breaks a rule")]
    Invalid(ErrorResponse),
    #[response(status = 401, description = "No token, or one that Kubernetes does not accept")]
    Unauthenticated(ErrorResponse),
    #[response(status = 403, description = "No permission, or the webhook refuses the change")]
    Forbidden(ErrorResponse),
    #[response(status = 404, description = "There is no such task or run, or the caller may not see it")]
    NotFound(ErrorResponse),
    #[response(status = 429, description = "Too many requests")]
    TooManyRequests(ErrorResponse),
    #[response(status = 503, description = "The database, the audit log or Kubernetes is unavailable")]
    Unavailable(ErrorResponse),
}
