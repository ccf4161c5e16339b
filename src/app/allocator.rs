//! Settings of the allocator by role.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::config::{Config, Role};

/// The variable that limits the number of arenas of glibc's allocator. It is read before the program starts.
const ARENAS: &str = "MALLOC_ARENA_MAX";

/// Starts the program again, in the same process, with the settings for its roles. Does nothing if the environment has
/// settings.
///
/// Without a limit the allocator keeps freed memory for each thread of the database, of Kafka's client and of the runtime.
/// With two arenas the webhook's reviews wait for each other's allocations, with four they do not.
pub(super) fn apply(config: &Config) {
    if std::env::var_os(ARENAS).is_some() {
        return;
    }
    let arenas = if config.roles.contains(&Role::Webhook) { "4" } else { "2" };
    let Ok(program) = std::env::current_exe() else { return };
    // Returns only if it fails; the program then works with the defaults.
    drop(Command::new(program).args(std::env::args_os().skip(1)).env(ARENAS, arenas).exec());
}
