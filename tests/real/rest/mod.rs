//! The REST API as a process, asked over HTTP with tokens that Kubernetes has made: what it answers, to whom, and that nobody
//! comes near another tenant's log.

mod crossing;
mod export;
mod house;
mod http;
mod limit;
mod login;
mod reading;
mod rights;
mod tls;
