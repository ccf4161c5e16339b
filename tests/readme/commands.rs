//! The commands on the pages exist, with their flags, and the tour shows the commands of the demo.

use std::process::Command;

use crate::{blocks, files, pages, read, root, section, spans};

/// Checks a command that a page shows.
fn check_command(line: &str) -> Result<(), String> {
    if let Some((name, command)) = line.strip_suffix(')').and_then(|line| line.split_once("=$(")) {
        require(name, name.bytes().all(|byte| byte.is_ascii_uppercase()))?;
        return check_command(command);
    }
    for command in line.split(" | ") {
        let mut arguments = command.split_whitespace().skip_while(|word| word.contains('=')).peekable();
        let program = arguments.next().unwrap_or_default();
        let arguments: Vec<&str> = arguments.collect();
        match program {
            "cargo" if arguments.first() == Some(&"xtask") => xtask(&arguments[1..])?,
            "cargo" => cargo(&arguments)?,
            "eventcenter" | "target/release/eventcenter" | "target/debug/eventcenter" => {
                eventcenter(&arguments)?
            }
            "eventctl" => eventctl(&arguments)?,
            "kubectl" if arguments.first() == Some(&"eventcenter") => eventctl(&arguments[1..])?,
            "kubectl" => kubectl(&arguments)?,
            "." if arguments == ["target/dev/env"] => {}
            "curl" if arguments == ["$METRICS_URL"] => {}
            "curl" => curl(arguments.last().copied().unwrap_or_default())?,
            "export" if arguments.iter().all(|word| word.contains('=')) => {}
            "git" if arguments.first() == Some(&"clone") => {}
            "cd" => {}
            _ => return Err(format!("`{command}` is unknown")),
        }
    }
    Ok(())
}

fn require(name: &str, exists: bool) -> Result<(), String> {
    if exists { Ok(()) } else { Err(format!("there is no {name}")) }
}

/// Checks that an address of the REST API is one of its routes.
fn curl(address: &str) -> Result<(), String> {
    let path = address.trim_matches('\'').split_once("/api/").map_or("", |(_, path)| path);
    let path = format!("/api/{}", path.split('?').next().unwrap_or_default());
    let document: serde_json::Value = serde_json::from_str(&read("docs/openapi.json")).unwrap();
    let routes = document["paths"].as_object().unwrap();
    let is_route = |route: &String| {
        let (route, path): (Vec<_>, Vec<_>) = (route.split('/').collect(), path.split('/').collect());
        let fits = |(part, piece): (&&str, &&str)| part == piece || part.starts_with('{');
        route.len() == path.len() && route.iter().zip(&path).all(fits)
    };
    require(&format!("route {path}"), routes.keys().any(is_route))
}

fn flags<'a>(arguments: &[&'a str]) -> impl Iterator<Item = &'a str> {
    let flags: Vec<&str> = arguments.iter().filter_map(|word| word.strip_prefix("--")).collect();
    flags.into_iter().map(|flag| flag.split('=').next().unwrap_or(flag)).filter(|flag| !flag.is_empty())
}

fn xtask(arguments: &[&str]) -> Result<(), String> {
    let name = arguments.first().copied().unwrap_or_default();
    let variant = format!("    {}{}(", name[..1].to_uppercase(), &name[1..]);
    require(&format!("cargo xtask {name}"), read("xtask/src/main.rs").contains(&variant))?;
    let folder = "xtask/src/commands";
    let mut sources = vec![format!("{folder}/mod.rs")];
    let inner = files(folder, ".rs").into_iter();
    let inner = inner.map(|path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
    sources.extend(inner.filter(|path| path.starts_with(&format!("{folder}/{name}"))));
    let source: String = sources.iter().map(|path| read(path)).collect();
    for flag in flags(arguments).filter(|flag| *flag != "help") {
        let field = format!(" {}: ", flag.replace('-', "_"));
        require(&format!("cargo xtask {name} --{flag}"), source.contains(&field))?;
    }
    if let Some(place) = arguments.iter().position(|word| *word == "--only") {
        let part = arguments[place + 1];
        let variant = format!("    {}{},", part[..1].to_uppercase(), &part[1..]);
        require(&format!("part {part}"), source.contains(&variant))?;
    }
    if name == "bench" {
        require(arguments[1], root().join(format!("{folder}/bench/{}.rs", arguments[1])).is_file())?;
    }
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    let known_commands = ["build", "check", "clippy", "deny", "fmt", "run", "test"];
    require(
        &format!("cargo {arguments:?}"),
        arguments.first().is_some_and(|word| known_commands.contains(word)),
    )?;
    let after = |flag: &str| {
        arguments.iter().position(|word| *word == flag).and_then(|place| arguments.get(place + 1))
    };
    let folder = match after("--package") {
        Some(package) => package.trim_start_matches("eventcenter-"),
        None => ".",
    };
    require(&format!("crate in {folder}"), root().join(folder).join("Cargo.toml").is_file())?;
    if let Some(test) = after("--test") {
        let tests = root().join(folder).join("tests");
        let exists = tests.join(format!("{test}.rs")).is_file() || tests.join(test).join("main.rs").is_file();
        require(&format!("test {test}"), exists)?;
    }
    match arguments.iter().position(|word| *word == "--").filter(|_| arguments[0] == "run") {
        Some(place) => eventcenter(&arguments[place + 1..]),
        None => Ok(()),
    }
}

/// The help of a subcommand.
pub(crate) fn help(subcommand: &str) -> Result<String, String> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_eventcenter")).args([subcommand, "--help"]).output().unwrap();
    require(&format!("eventcenter {subcommand}"), output.status.success())?;
    Ok(String::from_utf8(output.stdout).unwrap())
}

fn eventcenter(arguments: &[&str]) -> Result<(), String> {
    let subcommand = arguments.first().copied().unwrap_or_default();
    let help = help(subcommand)?;
    flags(arguments).try_for_each(|flag| {
        require(&format!("eventcenter {subcommand} --{flag}"), help.contains(&format!("--{flag} ")))
    })
}

/// Checks a command of eventctl, or a subcommand of one.
fn eventctl(arguments: &[&str]) -> Result<(), String> {
    let help = |command: &[&str]| {
        let mut program = Command::new(env!("CARGO_BIN_EXE_eventctl"));
        let output = program.args(command).arg("--help").output().unwrap();
        let succeeded = !command.is_empty() && output.status.success();
        succeeded
            .then(|| String::from_utf8(output.stdout).unwrap())
            .ok_or(format!("there is no eventctl {command:?}"))
    };
    let mut command = &arguments[..arguments.len().min(1)];
    let mut text = help(command)?;
    if text.contains("Commands:") {
        command = &arguments[..arguments.len().min(2)];
        require(&format!("eventctl {command:?}"), command.len() == 2)?;
        text = help(command)?;
    }
    flags(arguments).try_for_each(|flag| {
        let listed = text.lines().any(|line| line.split_whitespace().any(|word| word == format!("--{flag}")));
        require(&format!("eventctl {command:?} --{flag}"), listed)
    })
}

fn kubectl(arguments: &[&str]) -> Result<(), String> {
    let verbs = ["annotate", "apply", "create", "delete", "describe", "explain", "get", "wait"];
    require(&format!("kubectl {arguments:?}"), arguments.first().is_some_and(|verb| verbs.contains(verb)))?;
    match arguments.iter().position(|word| *word == "-f").and_then(|place| arguments.get(place + 1)) {
        Some(file) if *file != "-" => require(file, root().join(file).exists()),
        _ => Ok(()),
    }
}

/// The sources of the demo's steps, in the order in which the demo shows them.
fn demo_source() -> String {
    let folder = "xtask/src/commands/demo";
    ["topic", "task", "audit", "steps"].map(|module| read(&format!("{folder}/{module}.rs"))).concat()
}

/// The texts of the demo's steps, with `{}` as placeholders.
fn demo_texts() -> Vec<String> {
    let source = demo_source();
    // A text may continue in the next line.
    let mut pieces = source.split("\\\n");
    let first = pieces.next().unwrap_or_default().to_owned();
    let source = pieces.fold(first, |text, piece| text + piece.trim_start());
    source.split('"').skip(1).step_by(2).map(String::from).collect()
}

/// Whether a line is the text with any values for its placeholders.
fn is_filled_in(text: &str, line: &str) -> bool {
    let mut parts = text.split('{').map(|part| part.split_once('}').map_or(part, |(_, after)| after));
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else { return false };
    for part in parts {
        let found = if part.is_empty() { Some(rest.len()) } else { rest.find(part) };
        match found.filter(|place| *place > 0) {
            Some(place) => rest = &rest[place + part.len()..],
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn commands_on_the_pages_exist() {
    let mut shown = 0;
    for page in pages() {
        let text = read(&page);
        let blocks = blocks(&text);
        // `the_tour_is_the_demo` checks the output of the demo.
        let own = blocks.iter().filter(|(language, text)| language == "console" && !text.contains("━━ "));
        let console = own.flat_map(|(_, text)| text.lines());
        let commands = console.filter_map(|line| line.strip_prefix("$ ")).map(String::from);
        let inline = spans(&text)
            .into_iter()
            .filter(|span| span.starts_with("cargo xtask ") || span.starts_with("eventcenter "));
        for command in commands.chain(inline) {
            shown += 1;
            if let Err(error) = check_command(&command) {
                panic!("{page}: $ {command}\n{error}");
            }
        }
    }
    assert!(shown > 20, "only {shown} commands were found");
}

#[test]
fn an_unknown_command_is_detected() {
    for command in [
        "cargo xtask party",
        "cargo xtask demo --quickly",
        "cargo xtask test --only imagination",
        "cargo xtask bench coffee",
        "cargo test --test imagination",
        "eventcenter walk",
        "eventcenter run --fast",
        "curl -s http://localhost:8090/api/audit/nowhere",
        "TOKEN=$(kubectl party)",
        "eventctl schema",
        "eventctl schema guess",
        "eventctl schema check --fast",
        "eventctl adopt --everything",
        "eventcenter crds | kubectl apply -f nowhere.yaml",
        "kubectl apply -f examples/nowhere",
        "kubectl party",
        "kubectl eventcenter party",
        "eventctl approve etopic/orders --blindly",
        "rm -rf /",
    ] {
        assert!(check_command(command).is_err(), "{command}");
    }
    assert!(is_filled_in("kubectl apply -f {}", "kubectl apply -f target/x.yaml"));
    assert!(is_filled_in("{tool} --name {} --describe", "kafka-configs --name shop.orders --describe"));
    assert!(!is_filled_in("kubectl apply -f {}", "kubectl delete -f target/x.yaml"));
    assert!(!is_filled_in("kubectl apply -f {}", "kubectl apply -f "));
    assert!(!is_filled_in("kubectl get etopic -A", "kubectl get etopic -A -w"));
}

/// `docs/tour.md` shows the demo: all of its headings, in its order, and no command that it does not run.
#[test]
fn the_tour_is_the_demo() {
    let page = read("docs/tour.md");
    let tour = section(&page, "## The demo");
    let source = demo_source();
    let steps = source.split("heading(\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let steps: Vec<&str> = steps.filter(|heading| *heading != "That was the demo").collect();
    let shown: Vec<&str> = tour.lines().filter_map(|line| line.strip_prefix("━━ ")).collect();
    assert_eq!(shown, steps);
    let texts = demo_texts();
    let fixed = |text: &&String| {
        text.split('{').map(|part| part.rsplit('}').next().unwrap_or_default().len()).sum::<usize>() > 5
    };
    let texts: Vec<&String> = texts.iter().filter(fixed).collect();
    let commands: Vec<&str> = tour.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(commands.len() > 8, "{commands:?}");
    for command in commands {
        assert!(texts.iter().any(|text| is_filled_in(text, command)), "the demo does not run: {command}");
    }
}

/// The README shows lines of `docs/tour.md`, in its order.
#[test]
fn the_short_tour_is_part_of_the_tour() {
    let (readme, page) = (read("README.md"), read("docs/tour.md"));
    let shown = blocks(section(&readme, "## Two minutes")).pop().unwrap().1;
    assert!(shown.lines().filter(|line| line.starts_with("$ ")).count() > 8, "{shown}");
    let mut tour = section(&page, "## The demo").lines();
    for line in shown.lines().filter(|line| *line != "…") {
        assert!(tour.any(|other| other == line), "not in the tour, or not in this order: {line}");
    }
}
