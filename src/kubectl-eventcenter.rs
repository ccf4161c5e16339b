//! The program `eventctl` under the name by which kubectl finds its plugins; see [`eventcenter::ctl`].

fn main() -> std::process::ExitCode {
    eventcenter::ctl::main()
}
