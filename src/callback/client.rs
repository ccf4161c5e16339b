//! The client.

use std::fmt;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::TrySendError;
use hyper::{Request, Response};
use tokio::time::{Instant, timeout_at};

use super::connection::{Connection, Connector};
use super::error::{CallbackError, Phase, SetupError};
use super::message::{BodyEnd, CallbackRequest, CallbackResponse, read_body};
use super::options::CallbackOptions;
use super::pool::{Key, Pool, Slot};
use super::resolver::Resolver;
use super::tls;
use crate::domain::callback::{Endpoint, HostPolicy};

/// Sends requests to hosts that the tenant's policy allows. Clones share their connections.
#[derive(Clone)]
pub struct CallbackClient {
    shared: Arc<Shared>,
}

struct Shared {
    resolver: Resolver,
    connector: Connector,
    pool: Arc<Pool>,
    max_body_bytes: usize,
}

impl fmt::Debug for CallbackClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackClient").finish_non_exhaustive()
    }
}

impl CallbackClient {
    /// A client without connections. Reads the system's certificate authorities and DNS configuration.
    ///
    /// # Errors
    /// One of these, or the file of further certificate authorities, cannot be read.
    pub fn new(options: &CallbackOptions) -> Result<Self, SetupError> {
        let shared = Shared {
            resolver: Resolver::new(&options.nameservers)?,
            connector: Connector {
                tls: tls::connector(options.certificate_authorities.as_deref())?,
                max_header_bytes: options.max_header_bytes,
            },
            pool: Pool::new(options.max_connections, options.max_connections_per_host, options.idle_timeout),
            max_body_bytes: options.max_body_bytes,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Sends a request to a host that the policy allows, and returns its response, whatever its status. Redirects are not
    /// followed. A request is sent at most once: it is repeated only if a connection that was kept alive was closed before
    /// anything of it was sent.
    ///
    /// After the deadline, a response whose body has not ended is returned with [`BodyEnd::TimedOut`].
    ///
    /// # Errors
    /// The policy refuses the host or one of its addresses, the host could not be reached, or there was no valid response before
    /// the deadline.
    pub async fn send(
        &self,
        request: CallbackRequest,
        policy: &HostPolicy,
        deadline: Instant,
    ) -> Result<CallbackResponse, CallbackError> {
        let endpoint =
            policy.check_url(&request.url_field(), &request.url).map_err(CallbackError::Refused)?;
        let request = request.into_http(&endpoint).map_err(CallbackError::Refused)?;
        let key = Key { tenant: policy.tenant().clone(), endpoint: endpoint.clone() };
        let timeout = |phase| CallbackError::Timeout { endpoint: endpoint.clone(), phase };
        // `timeout_at` would let pass what needs no wait.
        if deadline <= Instant::now() {
            return Err(timeout(Phase::Queue));
        }
        let slot =
            timeout_at(deadline, self.shared.pool.reserve(key)).await.map_err(|_| timeout(Phase::Queue))?;

        let mut unsent = Some(request);
        let is_allowed = |peer| policy.check_address(&endpoint, peer).is_ok();
        if let Some(mut connection) = slot.take_idle(is_allowed)
            && let Some(request) = unsent.take()
        {
            match exchange(&mut connection, request, &endpoint, deadline).await? {
                Exchanged::Response(response) => {
                    return Ok(self.finish(response, connection, slot, deadline).await);
                }
                Exchanged::Unsent(request, _) => unsent = Some(request),
            }
        }
        let request = unsent.expect("it was not sent");
        let mut connection = self.connect(&endpoint, policy, &slot, deadline).await?;
        match exchange(&mut connection, request, &endpoint, deadline).await? {
            Exchanged::Response(response) => Ok(self.finish(response, connection, slot, deadline).await),
            Exchanged::Unsent(_, source) => Err(CallbackError::Closed { endpoint, source }),
        }
    }

    /// Opens a connection to one of the endpoint's addresses, all of which the policy has to allow.
    async fn connect(
        &self,
        endpoint: &Endpoint,
        policy: &HostPolicy,
        slot: &Slot,
        deadline: Instant,
    ) -> Result<Connection, CallbackError> {
        let timeout = |phase| CallbackError::Timeout { endpoint: endpoint.clone(), phase };
        let addresses = timeout_at(deadline, self.shared.resolver.resolve(endpoint, policy))
            .await
            .map_err(|_| timeout(Phase::Resolve))??;
        let permit =
            timeout_at(deadline, slot.reserve_connection()).await.map_err(|_| timeout(Phase::Queue))?;
        self.shared.connector.connect(endpoint, &addresses, permit, deadline).await
    }

    /// Reads the body, and keeps the connection if it ended.
    async fn finish(
        &self,
        response: Response<Incoming>,
        connection: Connection,
        slot: Slot,
        deadline: Instant,
    ) -> CallbackResponse {
        let (head, body) = response.into_parts();
        let (body, body_end) = read_body(body, self.shared.max_body_bytes, deadline).await;
        if body_end == BodyEnd::Complete {
            slot.keep(connection);
        }
        CallbackResponse { status: head.status, headers: head.headers, body, body_end }
    }
}

/// What became of a request.
enum Exchanged {
    Response(Response<Incoming>),
    /// Nothing of it was sent: the server had closed the connection.
    Unsent(Request<Full<Bytes>>, hyper::Error),
}

async fn exchange(
    connection: &mut Connection,
    request: Request<Full<Bytes>>,
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<Exchanged, CallbackError> {
    let endpoint = || endpoint.clone();
    let mut error: TrySendError<_> = match timeout_at(deadline, connection.send(request)).await {
        Err(_) => return Err(CallbackError::Timeout { endpoint: endpoint(), phase: Phase::Response }),
        Ok(Ok(response)) => return Ok(Exchanged::Response(response)),
        Ok(Err(error)) => error,
    };
    let unsent = error.take_message();
    let source = error.into_error();
    match unsent {
        Some(request) => Ok(Exchanged::Unsent(request, source)),
        None if source.is_parse() => Err(CallbackError::Protocol { endpoint: endpoint(), source }),
        None => Err(CallbackError::Closed { endpoint: endpoint(), source }),
    }
}
