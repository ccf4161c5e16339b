//! ^C and SIGTERM as a flag that every wait in this crate looks at, so that what was started is always stopped.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

fn flag() -> &'static Arc<AtomicBool> {
    static FLAG: OnceLock<Arc<AtomicBool>> = OnceLock::new();
    FLAG.get_or_init(Arc::default)
}

/// From now on SIGINT, SIGTERM and SIGHUP no longer end the process but set the flag.
/// A second ^C ends it at once: what it started dies with it. A second SIGTERM does not, because `timeout` sends two.
pub fn install() -> io::Result<()> {
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(flag()))?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag()))?;
    }
    Ok(())
}

/// Asks for the end, as a signal would.
pub fn request() {
    flag().store(true, Ordering::SeqCst);
}

/// Whether the end was asked for.
pub fn requested() -> bool {
    flag().load(Ordering::SeqCst)
}

/// An error if the end was asked for.
pub fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}
