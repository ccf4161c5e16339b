//! What the project's own commands are built from, and what the tests against the real parts use as well.
//!
//! From the ground up:
//! - [`procfs`], [`process`], [`interrupt`], [`port`], [`probe`]: processes that are never mistaken for others and never
//!   outlive their reason.
//! - [`cache`], [`prerequisites`], [`artefacts`]: the programs and jars, made once.
//! - [`kafka`], [`controlplane`], [`operator`], [`kubectl`], [`postgres`]: one running part each.
//! - [`environment`]: all of them together; [`supervisor`]: who owns that while no command runs;
//!   [`test_environment`]: the one that tests share.
//!
//! Deliberately absent: an async runtime, a Kubernetes client, a Kafka client. A newcomer compiles this first.

pub mod artefacts;
pub mod cache;
pub mod console;
pub mod controlplane;
pub mod env_file;
pub mod environment;
pub mod interrupt;
pub mod kafka;
pub mod kubectl;
pub mod logs;
pub mod operator;
pub mod paths;
pub mod port;
pub mod postgres;
pub mod prerequisites;
pub mod probe;
pub mod process;
pub mod procfs;
pub mod supervisor;
mod template;
pub mod test_environment;
