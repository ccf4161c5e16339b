//! Requests about ACLs: who may do what.

mod word;

use std::ffi::CString;
use std::ptr::NonNull;
use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, RequestError};
use crate::handle::Event;
use crate::input::{Objects, c_string};
use crate::options::{Api, Request};
use crate::sys::{self, ErrorText, rd};

pub use word::{AclOperation, AclPattern, AclPermission, AclResource};

/// The most ACLs, or filters, that one request may name. KRaft refuses a change of more than 10,000 records, and
/// librdkafka keeps the texts of an answer on the stack of its thread.
pub const MAX_ACLS_PER_REQUEST: usize = 2_000;

/// One ACL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acl {
    /// What it is about.
    pub resource: AclResource,
    /// The name, or its beginning.
    pub name: String,
    /// How the name is meant.
    pub pattern: AclPattern,
    /// Who, such as `User:alice`.
    pub principal: String,
    /// From which host; `*` for any.
    pub host: String,
    /// To do what.
    pub operation: AclOperation,
    /// Whether it allows or denies.
    pub permission: AclPermission,
}

/// Which ACLs are meant; what is `None` may be anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AclFilter {
    /// What they are about.
    pub resource: Option<AclResource>,
    /// The name, or its beginning.
    pub name: Option<String>,
    /// How the name is meant.
    pub pattern: Option<AclPattern>,
    /// Who.
    pub principal: Option<String>,
    /// From which host.
    pub host: Option<String>,
    /// To do what.
    pub operation: Option<AclOperation>,
    /// Whether they allow or deny.
    pub permission: Option<AclPermission>,
}

impl From<Acl> for AclFilter {
    /// The filter that only this ACL passes.
    fn from(acl: Acl) -> Self {
        Self {
            resource: Some(acl.resource),
            name: Some(acl.name),
            pattern: Some(acl.pattern),
            principal: Some(acl.principal),
            host: Some(acl.host),
            operation: Some(acl.operation),
            permission: Some(acl.permission),
        }
    }
}

type Created = Vec<Result<(), BrokerError>>;
type Deleted = Vec<Result<Vec<Acl>, BrokerError>>;

impl AdminClient {
    /// Makes ACLs (CreateAcls, KIP-140). The results are in the order of `acls`. Making one that exists succeeds.
    ///
    /// # Errors
    /// For one ACL, among others: no authorizer ([`ErrorCode::SECURITY_DISABLED`]), a missing right (Alter on the
    /// cluster), a principal that is none. For the request: see [`RequestError`].
    pub async fn create_acls(&self, acls: &[Acl], timeout: Duration) -> Result<Created, RequestError> {
        if acls.is_empty() {
            return Ok(Vec::new());
        }
        self.start_create_acls(acls, timeout)?.wait().await
    }

    fn start_create_acls(&self, acls: &[Acl], timeout: Duration) -> Result<Reply<Created>, RequestError> {
        let request = Request {
            operation: "CreateAcls",
            api: Api::RD_KAFKA_ADMIN_OP_CREATEACLS,
            timeout,
            tells_broker: false,
        };
        check_size(&request, acls.len())?;
        // SAFETY: the function that frees what `rd_kafka_AclBinding_new` makes.
        let mut array = unsafe { Objects::new(acls.len(), rd::rd_kafka_AclBinding_destroy) };
        for acl in acls {
            let name = c_string(&request, &acl.name, &acl.name)?;
            let principal = c_string(&request, &acl.name, &acl.principal)?;
            let host = c_string(&request, &acl.name, &acl.host)?;
            let mut text = ErrorText::new();
            // SAFETY: the strings are NUL-terminated and copied, the buffer has that length.
            let object = unsafe {
                rd::rd_kafka_AclBinding_new(
                    acl.resource.to_c(),
                    name.as_ptr(),
                    acl.pattern.to_c(),
                    principal.as_ptr(),
                    host.as_ptr(),
                    acl.operation.to_c(),
                    acl.permission.to_c(),
                    text.as_mut_ptr(),
                    text.len(),
                )
            };
            // SAFETY: just made, or null.
            if !unsafe { array.push(object) } {
                return Err(request.invalid(&acl.name, text.to_string()));
            }
        }
        let asked = acls.len();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_CreateAcls(
                    link.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    link.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions are CreateAcls'.
                let results = unsafe {
                    event.results(rd::rd_kafka_event_CreateAcls_result, rd::rd_kafka_CreateAcls_result_acls)
                };
                let results = results.ok_or_else(|| request.mismatch())?;
                // Results carry no names: they are in the order of the request.
                Ok((0..asked)
                    .map(|index| match results.get(index) {
                        Some(result) if !result.is_null() => {
                            // SAFETY: the result belongs to the event, which is alive.
                            let error = unsafe { rd::rd_kafka_acl_result_error(*result) };
                            // SAFETY: null, or an error that belongs to the result.
                            unsafe { check(error) }
                        }
                        _ => Err(BrokerError::unanswered()),
                    })
                    .collect())
            },
        )
    }

    /// The ACLs that pass a filter (DescribeAcls, KIP-140).
    ///
    /// A broker that has no authorizer, or does not let the caller ask, says so; but librdkafka 2.12 reads that answer
    /// and drops its error, so that it looks like "there are none". Therefore an empty answer is followed by a request
    /// that changes nothing and whose refusal librdkafka does tell: CreateAcls for a resource without a name. It needs
    /// Alter on the cluster, where DescribeAcls needs Describe.
    ///
    /// The texts of an answer lie on the stack of librdkafka's thread: some tens of thousands of ACLs fit into its 8 MiB.
    ///
    /// # Errors
    /// No authorizer ([`ErrorCode::SECURITY_DISABLED`]) and a missing right, both as [`RequestError::Failed`]; and what
    /// else [`RequestError`] lists.
    pub async fn describe_acls(
        &self,
        filter: &AclFilter,
        timeout: Duration,
    ) -> Result<Vec<Acl>, RequestError> {
        let acls = self.start_describe_acls(filter, timeout)?.wait().await?;
        if acls.is_empty() {
            self.check_acls_may_be_asked_for(timeout).await?;
        }
        Ok(acls)
    }

    fn start_describe_acls(
        &self,
        filter: &AclFilter,
        timeout: Duration,
    ) -> Result<Reply<Vec<Acl>>, RequestError> {
        let request = Request {
            operation: "DescribeAcls",
            api: Api::RD_KAFKA_ADMIN_OP_DESCRIBEACLS,
            timeout,
            tells_broker: false,
        };
        // SAFETY: the function that frees what `rd_kafka_AclBindingFilter_new` makes.
        let mut array = unsafe { Objects::new(1, rd::rd_kafka_AclBinding_destroy) };
        let object = c_filter(&request, filter)?;
        // SAFETY: just made, and given to nobody else.
        unsafe { array.push(object.as_ptr()) };
        self.start(
            request,
            // SAFETY: client, filter, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_DescribeAcls(link.client(), object.as_ptr(), options.as_ptr(), link.queue());
            },
            move |event| {
                // SAFETY: both functions are DescribeAcls'.
                let acls = unsafe {
                    event.results(
                        rd::rd_kafka_event_DescribeAcls_result,
                        rd::rd_kafka_DescribeAcls_result_acls,
                    )
                };
                let acls = acls.ok_or_else(|| request.mismatch())?;
                Ok(acls.iter().filter_map(|acl| Binding::of(event, *acl)).map(|acl| acl.read()).collect())
            },
        )
    }

    async fn check_acls_may_be_asked_for(&self, timeout: Duration) -> Result<(), RequestError> {
        let impossible = Acl {
            resource: AclResource::Topic,
            name: String::new(),
            pattern: AclPattern::Literal,
            principal: "User:ANONYMOUS".into(),
            host: "*".into(),
            operation: AclOperation::Describe,
            permission: AclPermission::Allow,
        };
        let answers = self.create_acls(&[impossible], timeout).await?;
        match answers.into_iter().next() {
            Some(Err(error)) if error.code() != ErrorCode::INVALID_REQUEST => Err(RequestError::Failed {
                operation: "DescribeAcls",
                code: error.code(),
                message: error.message().to_owned(),
                cause: None,
            }),
            _ => Ok(()),
        }
    }

    /// Removes the ACLs that pass one of the filters (DeleteAcls, KIP-140). The results are in the order of `filters`:
    /// the ACLs that were removed, which may be none.
    ///
    /// # Errors
    /// For one filter: no authorizer ([`ErrorCode::SECURITY_DISABLED`]), a missing right (Alter on the cluster). For the
    /// request: see [`RequestError`].
    pub async fn delete_acls(
        &self,
        filters: &[AclFilter],
        timeout: Duration,
    ) -> Result<Deleted, RequestError> {
        if filters.is_empty() {
            return Ok(Vec::new());
        }
        self.start_delete_acls(filters, timeout)?.wait().await
    }

    fn start_delete_acls(
        &self,
        filters: &[AclFilter],
        timeout: Duration,
    ) -> Result<Reply<Deleted>, RequestError> {
        let request = Request {
            operation: "DeleteAcls",
            api: Api::RD_KAFKA_ADMIN_OP_DELETEACLS,
            timeout,
            tells_broker: false,
        };
        check_size(&request, filters.len())?;
        // SAFETY: the function that frees what `rd_kafka_AclBindingFilter_new` makes.
        let mut array = unsafe { Objects::new(filters.len(), rd::rd_kafka_AclBinding_destroy) };
        for filter in filters {
            let object = c_filter(&request, filter)?;
            // SAFETY: just made, and given to nobody else.
            unsafe { array.push(object.as_ptr()) };
        }
        let asked = filters.len();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies what it needs.
            |link, options| unsafe {
                rd::rd_kafka_DeleteAcls(
                    link.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    link.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions are DeleteAcls'.
                let responses = unsafe {
                    event.results(
                        rd::rd_kafka_event_DeleteAcls_result,
                        rd::rd_kafka_DeleteAcls_result_responses,
                    )
                };
                let responses = responses.ok_or_else(|| request.mismatch())?;
                // Responses carry no filters: they are in the order of the request.
                Ok((0..asked)
                    .map(|index| match responses.get(index).and_then(|it| NonNull::new(it.cast_mut())) {
                        Some(response) => removed(event, response),
                        None => Err(BrokerError::unanswered()),
                    })
                    .collect())
            },
        )
    }
}

fn check_size(request: &Request, count: usize) -> Result<(), RequestError> {
    if count > MAX_ACLS_PER_REQUEST {
        return Err(request.invalid("the batch", format!("{count} ACLs, more than {MAX_ACLS_PER_REQUEST}")));
    }
    Ok(())
}

/// librdkafka's object of a filter, which whoever asked has to free.
fn c_filter(
    request: &Request,
    filter: &AclFilter,
) -> Result<NonNull<rd::rd_kafka_AclBindingFilter_t>, RequestError> {
    let item = filter.name.as_deref().unwrap_or("*");
    let text =
        |value: &Option<String>| value.as_deref().map(|value| c_string(request, item, value)).transpose();
    let (name, principal, host) = (text(&filter.name)?, text(&filter.principal)?, text(&filter.host)?);
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    let mut error = ErrorText::new();
    // SAFETY: the strings are null or NUL-terminated and copied, the buffer has that length.
    let object = unsafe {
        rd::rd_kafka_AclBindingFilter_new(
            filter.resource.map_or(rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_ANY, AclResource::to_c),
            pointer(&name),
            filter
                .pattern
                .map_or(rd::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_ANY, AclPattern::to_c),
            pointer(&principal),
            pointer(&host),
            filter
                .operation
                .map_or(rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ANY, AclOperation::to_c),
            filter.permission.map_or(
                rd::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ANY,
                AclPermission::to_c,
            ),
            error.as_mut_ptr(),
            error.len(),
        )
    };
    NonNull::new(object).ok_or_else(|| request.invalid(item, error.to_string()))
}

/// What was removed by one filter; the first that could not be removed is the answer to all.
fn removed(
    event: &Event,
    response: NonNull<rd::rd_kafka_DeleteAcls_result_response_t>,
) -> Result<Vec<Acl>, BrokerError> {
    // SAFETY: the response belongs to the event, which is alive.
    let error = unsafe { rd::rd_kafka_DeleteAcls_result_response_error(response.as_ptr()) };
    // SAFETY: null, or an error that belongs to the response.
    unsafe { check(error) }?;
    let mut count = 0;
    // SAFETY: the response belongs to the event, which is alive.
    let acls =
        unsafe { rd::rd_kafka_DeleteAcls_result_response_matching_acls(response.as_ptr(), &mut count) };
    // SAFETY: an array of `count` ACLs that belongs to the response.
    let acls = unsafe { sys::slice(acls, count) };
    acls.iter()
        .filter_map(|acl| Binding::of(event, *acl))
        .map(|acl| {
            acl.outcome()?;
            Ok(acl.read())
        })
        .collect()
}

/// # Safety
/// `error` is null, or an error that is alive.
unsafe fn check(error: *const rd::rd_kafka_error_t) -> Result<(), BrokerError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: not null, and alive by the caller's promise.
    let code = unsafe { sys::rd_kafka_error_code(error) };
    // SAFETY: as above.
    let message = unsafe { rd::rd_kafka_error_string(error) };
    // SAFETY: belongs to the error.
    let message = unsafe { sys::text(message) };
    Err(BrokerError::new(ErrorCode::from_c(code), message.as_deref()))
}

/// One ACL of an answer, borrowed from its event.
struct Binding<'e> {
    acl: *const rd::rd_kafka_AclBinding_t,
    _event: &'e Event,
}

impl<'e> Binding<'e> {
    fn of(event: &'e Event, acl: *const rd::rd_kafka_AclBinding_t) -> Option<Self> {
        (!acl.is_null()).then_some(Self { acl, _event: event })
    }

    fn outcome(&self) -> Result<(), BrokerError> {
        // SAFETY: the ACL belongs to the event, which is alive.
        let error = unsafe { rd::rd_kafka_AclBinding_error(self.acl) };
        // SAFETY: null, or an error that belongs to the ACL.
        unsafe { check(error) }
    }

    fn read(&self) -> Acl {
        // SAFETY: the ACL belongs to the event, which is alive.
        let resource = unsafe { sys::rd_kafka_AclBinding_restype(self.acl) };
        // SAFETY: as above.
        let pattern = unsafe { sys::rd_kafka_AclBinding_resource_pattern_type(self.acl) };
        // SAFETY: as above.
        let operation = unsafe { sys::rd_kafka_AclBinding_operation(self.acl) };
        // SAFETY: as above.
        let permission = unsafe { sys::rd_kafka_AclBinding_permission_type(self.acl) };
        Acl {
            resource: AclResource::from_c(resource),
            name: self.text(rd::rd_kafka_AclBinding_name),
            pattern: AclPattern::from_c(pattern),
            principal: self.text(rd::rd_kafka_AclBinding_principal),
            host: self.text(rd::rd_kafka_AclBinding_host),
            operation: AclOperation::from_c(operation),
            permission: AclPermission::from_c(permission),
        }
    }

    /// `field` is one of librdkafka's functions that give a text of an ACL.
    fn text(
        &self,
        field: unsafe extern "C" fn(*const rd::rd_kafka_AclBinding_t) -> *const std::ffi::c_char,
    ) -> String {
        // SAFETY: the ACL belongs to the event, which is alive.
        let text = unsafe { field(self.acl) };
        // SAFETY: belongs to the ACL, or is null.
        let text = unsafe { sys::text(text) };
        text.unwrap_or_default().into_owned()
    }
}
