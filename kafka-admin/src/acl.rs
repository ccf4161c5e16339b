//! Requests about ACLs.

mod enums;

use std::ffi::CString;
use std::ptr::NonNull;
use std::time::Duration;

use crate::client::{AdminClient, Reply};
use crate::error::{BrokerError, ErrorCode, ItemResults, RequestError, check_error};
use crate::handle::Event;
use crate::input::{ObjectArray, c_string};
use crate::options::{AdminOperation, Request};
use crate::sys::{self, ErrorText, rd};

pub use enums::{AclOperation, AclPermissionType, PatternType, ResourceType};

/// The maximum number of ACLs, or filters, in one request. KRaft refuses a change of more than 10,000 records, and
/// librdkafka stores the texts of a response on the stack of its thread.
pub const MAX_ACLS_PER_REQUEST: usize = 2_000;

/// One ACL: a resource pattern (KIP-290) and an access control entry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclBinding {
    /// The type of the resource.
    pub resource_type: ResourceType,
    /// The name of the resource, or its prefix.
    pub name: String,
    /// How `name` matches resources.
    pub pattern_type: PatternType,
    /// The principal, such as `User:alice`.
    pub principal: String,
    /// The client's host; `*` for any.
    pub host: String,
    /// The operation.
    pub operation: AclOperation,
    /// Whether it allows or denies the operation.
    pub permission_type: AclPermissionType,
}

/// Selects ACLs; `None` matches any value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AclBindingFilter {
    /// The type of the resource.
    pub resource_type: Option<ResourceType>,
    /// The name of the resource, or its prefix.
    pub name: Option<String>,
    /// How the ACL's name matches resources.
    pub pattern_type: Option<PatternType>,
    /// The principal.
    pub principal: Option<String>,
    /// The client's host.
    pub host: Option<String>,
    /// The operation.
    pub operation: Option<AclOperation>,
    /// Whether the ACL allows or denies.
    pub permission_type: Option<AclPermissionType>,
}

impl From<AclBinding> for AclBindingFilter {
    /// The filter that matches only this ACL.
    fn from(acl: AclBinding) -> Self {
        Self {
            resource_type: Some(acl.resource_type),
            name: Some(acl.name),
            pattern_type: Some(acl.pattern_type),
            principal: Some(acl.principal),
            host: Some(acl.host),
            operation: Some(acl.operation),
            permission_type: Some(acl.permission_type),
        }
    }
}

/// The deleted ACLs of each filter.
type Deletions = ItemResults<Vec<AclBinding>>;

impl AdminClient {
    /// Creates ACLs (CreateAcls, KIP-140). The results are in the order of `acls`. Creating an existing ACL succeeds.
    ///
    /// # Errors
    /// For one ACL, among others: no authorizer ([`ErrorCode::SECURITY_DISABLED`]), a missing authorization (Alter on the
    /// cluster), an invalid principal. For the request: see [`RequestError`].
    pub async fn create_acls(
        &self,
        acls: &[AclBinding],
        timeout: Duration,
    ) -> Result<ItemResults, RequestError> {
        if acls.is_empty() {
            return Ok(Vec::new());
        }
        self.start_create_acls(acls, timeout)?.wait().await
    }

    fn start_create_acls(
        &self,
        acls: &[AclBinding],
        timeout: Duration,
    ) -> Result<Reply<ItemResults>, RequestError> {
        let request = Request {
            operation: "CreateAcls",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_CREATEACLS,
            timeout,
            has_operation_timeout: false,
        };
        check_size(&request, acls.len())?;
        // SAFETY: `rd_kafka_AclBinding_destroy` frees an object of `rd_kafka_AclBinding_new`.
        let mut array = unsafe { ObjectArray::new(acls.len(), rd::rd_kafka_AclBinding_destroy) };
        for acl in acls {
            let name = c_string(&request, &acl.name, &acl.name)?;
            let principal = c_string(&request, &acl.name, &acl.principal)?;
            let host = c_string(&request, &acl.name, &acl.host)?;
            let mut text = ErrorText::new();
            // SAFETY: the strings are NUL-terminated and copied, and the buffer has the passed length.
            let object = unsafe {
                rd::rd_kafka_AclBinding_new(
                    acl.resource_type.to_c(),
                    name.as_ptr(),
                    acl.pattern_type.to_c(),
                    principal.as_ptr(),
                    host.as_ptr(),
                    acl.operation.to_c(),
                    acl.permission_type.to_c(),
                    text.as_mut_ptr(),
                    text.len(),
                )
            };
            // SAFETY: `object` was just created and has no other pointer, or is null.
            if !unsafe { array.push(object) } {
                return Err(request.invalid(&acl.name, text.to_string()));
            }
        }
        let count = acls.len();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies the array and the options.
            |handle, options| unsafe {
                rd::rd_kafka_CreateAcls(
                    handle.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    handle.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions belong to CreateAcls.
                let results = unsafe {
                    event.results(rd::rd_kafka_event_CreateAcls_result, rd::rd_kafka_CreateAcls_result_acls)
                };
                let results = results.ok_or_else(|| request.mismatch())?;
                // The results carry no names; they are in the order of the request.
                Ok((0..count)
                    .map(|index| match results.get(index) {
                        Some(result) if !result.is_null() => {
                            // SAFETY: the event is alive and owns the result.
                            let error = unsafe { rd::rd_kafka_acl_result_error(*result) };
                            // SAFETY: `error` is null, or alive because the result owns it.
                            unsafe { check_error(error) }
                        }
                        _ => Err(BrokerError::missing_from_response()),
                    })
                    .collect())
            },
        )
    }

    /// The ACLs that match a filter (DescribeAcls, KIP-140).
    ///
    /// A broker without an authorizer, and one that does not authorize the caller, respond with an error; but librdkafka
    /// 2.12 drops that error, so the response looks like an empty list. Therefore an empty response is followed by a request
    /// that changes nothing and whose error librdkafka returns: CreateAcls for a resource with an empty name. That request
    /// needs Alter on the cluster, while DescribeAcls needs Describe.
    ///
    /// librdkafka stores the texts of a response on the stack of its thread: some tens of thousands of ACLs fit into its
    /// 8 MiB.
    ///
    /// # Errors
    /// No authorizer ([`ErrorCode::SECURITY_DISABLED`]) and a missing authorization, both as [`RequestError::Failed`]; and
    /// the other variants of [`RequestError`].
    pub async fn describe_acls(
        &self,
        filter: &AclBindingFilter,
        timeout: Duration,
    ) -> Result<Vec<AclBinding>, RequestError> {
        let acls = self.start_describe_acls(filter, timeout)?.wait().await?;
        if acls.is_empty() {
            self.check_acl_access(timeout).await?;
        }
        Ok(acls)
    }

    fn start_describe_acls(
        &self,
        filter: &AclBindingFilter,
        timeout: Duration,
    ) -> Result<Reply<Vec<AclBinding>>, RequestError> {
        let request = Request {
            operation: "DescribeAcls",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_DESCRIBEACLS,
            timeout,
            has_operation_timeout: false,
        };
        // SAFETY: `rd_kafka_AclBinding_destroy` frees an object of `rd_kafka_AclBindingFilter_new`.
        let mut array = unsafe { ObjectArray::new(1, rd::rd_kafka_AclBinding_destroy) };
        let object = c_filter(&request, filter)?;
        // SAFETY: the object was just created, and only the array owns it.
        unsafe { array.push(object.as_ptr()) };
        self.start(
            request,
            // SAFETY: client, filter, options and queue are alive during the call, which copies the filter and the options.
            |handle, options| unsafe {
                rd::rd_kafka_DescribeAcls(handle.client(), object.as_ptr(), options.as_ptr(), handle.queue());
            },
            move |event| {
                // SAFETY: both functions belong to DescribeAcls.
                let acls = unsafe {
                    event.results(
                        rd::rd_kafka_event_DescribeAcls_result,
                        rd::rd_kafka_DescribeAcls_result_acls,
                    )
                };
                let acls = acls.ok_or_else(|| request.mismatch())?;
                Ok(acls.iter().filter_map(|acl| BindingRef::new(event, *acl)).map(|acl| acl.read()).collect())
            },
        )
    }

    /// Fails if the broker has no authorizer or does not authorize the caller to alter ACLs.
    async fn check_acl_access(&self, timeout: Duration) -> Result<(), RequestError> {
        let invalid = AclBinding {
            resource_type: ResourceType::Topic,
            name: String::new(),
            pattern_type: PatternType::Literal,
            principal: "User:ANONYMOUS".into(),
            host: "*".into(),
            operation: AclOperation::Describe,
            permission_type: AclPermissionType::Allow,
        };
        let results = self.create_acls(&[invalid], timeout).await?;
        match results.into_iter().next() {
            Some(Err(error)) if error.code() != ErrorCode::INVALID_REQUEST => Err(RequestError::Failed {
                operation: "DescribeAcls",
                code: error.code(),
                message: error.message().to_owned(),
                cause: None,
            }),
            _ => Ok(()),
        }
    }

    /// Deletes the ACLs that match one of the filters (DeleteAcls, KIP-140). The results are in the order of `filters`: the
    /// deleted ACLs of each, which may be none.
    ///
    /// # Errors
    /// For one filter: no authorizer ([`ErrorCode::SECURITY_DISABLED`]), a missing authorization (Alter on the cluster). For
    /// the request: see [`RequestError`].
    pub async fn delete_acls(
        &self,
        filters: &[AclBindingFilter],
        timeout: Duration,
    ) -> Result<Deletions, RequestError> {
        if filters.is_empty() {
            return Ok(Vec::new());
        }
        self.start_delete_acls(filters, timeout)?.wait().await
    }

    fn start_delete_acls(
        &self,
        filters: &[AclBindingFilter],
        timeout: Duration,
    ) -> Result<Reply<Deletions>, RequestError> {
        let request = Request {
            operation: "DeleteAcls",
            admin_operation: AdminOperation::RD_KAFKA_ADMIN_OP_DELETEACLS,
            timeout,
            has_operation_timeout: false,
        };
        check_size(&request, filters.len())?;
        // SAFETY: `rd_kafka_AclBinding_destroy` frees an object of `rd_kafka_AclBindingFilter_new`.
        let mut array = unsafe { ObjectArray::new(filters.len(), rd::rd_kafka_AclBinding_destroy) };
        for filter in filters {
            let object = c_filter(&request, filter)?;
            // SAFETY: the object was just created, and only the array owns it.
            unsafe { array.push(object.as_ptr()) };
        }
        let count = filters.len();
        self.start(
            request,
            // SAFETY: client, array, options and queue are alive during the call, which copies the array and the options.
            |handle, options| unsafe {
                rd::rd_kafka_DeleteAcls(
                    handle.client(),
                    array.as_mut_ptr(),
                    array.len(),
                    options.as_ptr(),
                    handle.queue(),
                );
            },
            move |event| {
                // SAFETY: both functions belong to DeleteAcls.
                let responses = unsafe {
                    event.results(
                        rd::rd_kafka_event_DeleteAcls_result,
                        rd::rd_kafka_DeleteAcls_result_responses,
                    )
                };
                let responses = responses.ok_or_else(|| request.mismatch())?;
                // The responses carry no filters; they are in the order of the request.
                Ok((0..count)
                    .map(|index| match responses.get(index).and_then(|it| NonNull::new(it.cast_mut())) {
                        Some(response) => deleted_bindings(event, response),
                        None => Err(BrokerError::missing_from_response()),
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

/// librdkafka's object of a filter. The caller owns it.
fn c_filter(
    request: &Request,
    filter: &AclBindingFilter,
) -> Result<NonNull<rd::rd_kafka_AclBindingFilter_t>, RequestError> {
    let item = filter.name.as_deref().unwrap_or("*");
    let text =
        |value: &Option<String>| value.as_deref().map(|value| c_string(request, item, value)).transpose();
    let (name, principal, host) = (text(&filter.name)?, text(&filter.principal)?, text(&filter.host)?);
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    let mut error = ErrorText::new();
    // SAFETY: the strings are null, or NUL-terminated and copied; the buffer has the passed length.
    let object = unsafe {
        rd::rd_kafka_AclBindingFilter_new(
            filter
                .resource_type
                .map_or(rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_ANY, ResourceType::to_c),
            pointer(&name),
            filter
                .pattern_type
                .map_or(rd::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_ANY, PatternType::to_c),
            pointer(&principal),
            pointer(&host),
            filter
                .operation
                .map_or(rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_ANY, AclOperation::to_c),
            filter.permission_type.map_or(
                rd::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ANY,
                AclPermissionType::to_c,
            ),
            error.as_mut_ptr(),
            error.len(),
        )
    };
    NonNull::new(object).ok_or_else(|| request.invalid(item, error.to_string()))
}

/// The ACLs that one filter deleted, or the first error.
fn deleted_bindings(
    event: &Event,
    response: NonNull<rd::rd_kafka_DeleteAcls_result_response_t>,
) -> Result<Vec<AclBinding>, BrokerError> {
    // SAFETY: the event is alive and owns the response.
    let error = unsafe { rd::rd_kafka_DeleteAcls_result_response_error(response.as_ptr()) };
    // SAFETY: `error` is null, or alive because the response owns it.
    unsafe { check_error(error) }?;
    let mut count = 0;
    // SAFETY: the event is alive and owns the response.
    let acls =
        unsafe { rd::rd_kafka_DeleteAcls_result_response_matching_acls(response.as_ptr(), &mut count) };
    // SAFETY: an array of `count` ACLs that the response owns.
    let acls = unsafe { sys::slice(acls, count) };
    acls.iter()
        .filter_map(|acl| BindingRef::new(event, *acl))
        .map(|acl| {
            acl.result()?;
            Ok(acl.read())
        })
        .collect()
}

/// One ACL of a response, borrowed from its event.
struct BindingRef<'e> {
    acl: *const rd::rd_kafka_AclBinding_t,
    _event: &'e Event,
}

impl<'e> BindingRef<'e> {
    fn new(event: &'e Event, acl: *const rd::rd_kafka_AclBinding_t) -> Option<Self> {
        (!acl.is_null()).then_some(Self { acl, _event: event })
    }

    fn result(&self) -> Result<(), BrokerError> {
        // SAFETY: the event is alive and owns the ACL.
        let error = unsafe { rd::rd_kafka_AclBinding_error(self.acl) };
        // SAFETY: `error` is null, or alive because the ACL owns it.
        unsafe { check_error(error) }
    }

    fn read(&self) -> AclBinding {
        // SAFETY: the event is alive and owns the ACL.
        let resource = unsafe { sys::rd_kafka_AclBinding_restype(self.acl) };
        // SAFETY: as above.
        let pattern = unsafe { sys::rd_kafka_AclBinding_resource_pattern_type(self.acl) };
        // SAFETY: as above.
        let operation = unsafe { sys::rd_kafka_AclBinding_operation(self.acl) };
        // SAFETY: as above.
        let permission = unsafe { sys::rd_kafka_AclBinding_permission_type(self.acl) };
        AclBinding {
            resource_type: ResourceType::from_c(resource),
            name: self.text(rd::rd_kafka_AclBinding_name),
            pattern_type: PatternType::from_c(pattern),
            principal: self.text(rd::rd_kafka_AclBinding_principal),
            host: self.text(rd::rd_kafka_AclBinding_host),
            operation: AclOperation::from_c(operation),
            permission_type: AclPermissionType::from_c(permission),
        }
    }

    /// Reads a text of the ACL. `field` is librdkafka's getter for it.
    fn text(
        &self,
        field: unsafe extern "C" fn(*const rd::rd_kafka_AclBinding_t) -> *const std::ffi::c_char,
    ) -> String {
        // SAFETY: the event is alive and owns the ACL.
        let text = unsafe { field(self.acl) };
        // SAFETY: the text is null, or owned by the ACL.
        let text = unsafe { sys::text(text) };
        text.unwrap_or_default().into_owned()
    }
}
