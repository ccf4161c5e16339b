//! SIGINT, SIGTERM and SIGHUP as a flag that every wait in this crate checks, so that everything that was started is
//! stopped.

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

/// Makes SIGINT, SIGTERM and SIGHUP set the flag instead of ending the process. A second ^C ends it at once, and its
/// children with it. A second SIGTERM does not, because `timeout` sends two.
pub fn install() -> io::Result<()> {
    signal_hook::flag::register_conditional_shutdown(SIGINT, 130, Arc::clone(flag()))?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag()))?;
    }
    Ok(())
}

/// Sets the flag, as a signal would.
pub fn request() {
    flag().store(true, Ordering::SeqCst);
}

/// Whether the flag is set.
pub fn requested() -> bool {
    flag().load(Ordering::SeqCst)
}

/// An error if the flag is set.
pub fn check() -> Result<()> {
    if requested() {
        bail!("interrupted");
    }
    Ok(())
}
