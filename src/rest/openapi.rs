//! The OpenAPI document without its paths.

use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    components(schemas(eventcenter_sdk::rest::audit::ExportFormat)),
    info(
        title = "eventcenter",
        description = "The audit logs of eventcenter: everything that was requested, approved and done, with proofs; and its \
                       ScheduledTasks with their runs. \
                       Responses are `{code, message, data}`; errors have a fitting HTTP status and a `reason`, the same \
                       word as in Kubernetes, metrics and records.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "audit", description = "Audit logs. A caller may read the logs that Kubernetes' RBAC allows: verb `get` on \
                                        `tenants/audit` of `eventcenter.io`, and `list` to export."),
        (name = "schedule", description = "ScheduledTasks, their runs, and the replicas of the operator. Tasks are read and written \
                                           with the rights of the caller; runs need verbs on `scheduledtasks/runs` and \
                                           `scheduledtasks/trigger` of `eventcenter.io`."),
        (name = "description", description = "This document"),
        (name = "health", description = "For probes and monitoring"),
    ),
    security(("bearer" = [])),
    modifiers(&BearerScheme),
)]
struct Base;

/// Tokens of Kubernetes.
struct BearerScheme;

impl Modify for BearerScheme {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let description = "A token that Kubernetes accepts, such as one of `kubectl create token NAME`";
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// Title, tags and security.
pub(super) fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}
