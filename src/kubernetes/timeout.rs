//! The timeout of requests other than watches.

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
