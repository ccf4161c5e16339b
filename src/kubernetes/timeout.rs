//! The timeout of requests other than watches, and which failures are temporary.

use std::time::Duration;

/// The client's default of five minutes suits watches only.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Fails a request after [`REQUEST_TIMEOUT`].
pub(super) async fn in_time<T>(
    request: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, kube::Error> {
    match tokio::time::timeout(REQUEST_TIMEOUT, request).await {
        Ok(result) => result,
        Err(_) => Err(kube::Error::Service("the API server did not answer in time".into())),
    }
}

/// Whether the same request may succeed later without a change by somebody: the API server did not answer, or is overloaded.
pub(super) fn is_temporary(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => true,
    }
}
