//! The form of every JSON response: `{"code": …, "message": …, "data": …}`.

use serde::{Deserialize, Serialize};

/// A successful response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Response<T> {
    /// Always 0.
    #[cfg_attr(feature = "openapi", schema(example = 0))]
    pub code: u32,
    /// Always `success`.
    #[cfg_attr(feature = "openapi", schema(example = "success"))]
    pub message: String,
    /// The requested data.
    pub data: T,
}

impl<T> Response<T> {
    /// A successful response with this data.
    pub fn success(data: T) -> Self {
        Self { code: 0, message: "success".to_owned(), data }
    }
}

/// An error response.
///
/// Missing fields are read as empty, so that the message in an error of a proxy can be read as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorResponse {
    /// 40001: the request breaks a rule. 40301: the caller is not authenticated or not authorized, or has exceeded the
    /// rate limit. 40401: not found. 50001: the server failed.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, example = 40301))]
    pub code: u32,
    /// The reason, and how to fix it.
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "Forbidden: ask for the right get on tenants/audit of eventcenter.io with the name shop"
        )
    )]
    pub message: String,
    /// Details for programs.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub data: ErrorDetails,
}

/// Details of an error, for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorDetails {
    /// The reason: the same word as in conditions, metrics and audit records.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true, example = "Forbidden"))]
    pub reason: String,
    /// The id of the request in the server's log and in the audit log.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub request_id: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_success_has_code_message_and_data() {
        let response = Response::success(vec!["a"]);
        let json = serde_json::to_string(&response).unwrap();
        assert_eq!(json, r#"{"code":0,"message":"success","data":["a"]}"#);
        assert_eq!(serde_json::from_str::<Response<Vec<&str>>>(&json).unwrap(), response);
        for json in [r#"{"code":0,"message":"success"}"#, r#"{"code":0,"message":"success","data":null}"#] {
            assert!(serde_json::from_str::<Response<Vec<&str>>>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_error_has_the_reason_and_the_request_id() {
        let error = ErrorResponse {
            code: 40301,
            message: "Forbidden: why".into(),
            data: ErrorDetails { reason: "Forbidden".into(), request_id: "r-1".into() },
        };
        let json = serde_json::to_string(&error).unwrap();
        assert_eq!(
            json,
            r#"{"code":40301,"message":"Forbidden: why","data":{"reason":"Forbidden","requestId":"r-1"}}"#
        );
        assert_eq!(serde_json::from_str::<ErrorResponse>(&json).unwrap(), error);
    }

    #[test]
    fn an_error_of_another_server_or_version_is_read() {
        let read = |json| serde_json::from_value::<ErrorResponse>(json).unwrap();
        let error = read(json!({"message": "no healthy upstream"}));
        assert_eq!((error.code, error.message.as_str()), (0, "no healthy upstream"));
        assert_eq!(error.data, ErrorDetails::default());
        let error = read(json!({"code": 40901, "message": "m", "more": 1, "data": {"reason": "NewReason"}}));
        assert_eq!((error.data.reason.as_str(), error.data.request_id.as_str()), ("NewReason", ""));
    }
}
