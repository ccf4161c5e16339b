//! The program `eventctl`; see [`eventcenter::ctl`].

fn main() -> std::process::ExitCode {
    eventcenter::ctl::main()
}
