//! The program `eventcenter`; see [`eventcenter::app`].

fn main() -> std::process::ExitCode {
    eventcenter::app::main()
}
