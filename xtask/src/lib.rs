//! The library of `cargo xtask` and of the tests against the real parts.
//!
//! From the bottom up:
//! - [`procfs`], [`process`], [`interrupt`], [`port`], [`probe`]: processes that are identified exactly and that end with
//!   their parent.
//! - [`cache`], [`prerequisites`], [`artefacts`]: the programs and jars, made once.
//! - [`kafka`], [`controlplane`], [`operator`], [`kubectl`], [`postgres`]: one part of an environment each.
//! - [`environment`]: all parts together; [`supervisor`]: the process that owns them while no command runs;
//!   [`test_environment`]: the environment that tests share.
//!
//! Deliberately absent: an async runtime, a Kubernetes client, a Kafka client, because this is compiled first.

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
