//! Progress on standard error. Results go to standard output.
//!
//! On a terminal a task is a spinner with its elapsed time; elsewhere (CI) it is a plain line after one second and every
//! fifteen seconds. A process that works for another one relays its tasks as lines that [`Relayed`] turns into tasks again.

use std::{
    collections::HashMap,
    io::{IsTerminal, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// When the first line about a task is printed, and how often further ones.
const FIRST_LINE: Duration = Duration::from_secs(1);
const LINE_INTERVAL: Duration = Duration::from_secs(15);

/// The place where progress is shown. Cheap to clone.
#[derive(Clone)]
pub struct Console(Arc<Sink>);

enum Sink {
    Terminal(MultiProgress),
    Plain,
    Silent,
    Relay { writer: Mutex<Box<dyn Write + Send>>, next: AtomicU64 },
}

impl Console {
    /// On standard error, as a terminal or as plain lines.
    pub fn stderr() -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self(Arc::new(if terminal { Sink::Terminal(MultiProgress::new()) } else { Sink::Plain }))
    }

    /// Shows nothing.
    pub fn silent() -> Self {
        Self(Arc::new(Sink::Silent))
    }

    /// Writes each task as lines for [`Relayed`] in another process.
    pub fn relay(writer: impl Write + Send + 'static) -> Self {
        Self(Arc::new(Sink::Relay { writer: Mutex::new(Box::new(writer)), next: AtomicU64::new(0) }))
    }

    /// Prints one line.
    pub fn line(&self, text: &str) {
        match &*self.0 {
            Sink::Terminal(bars) => {
                // An error means that standard error is closed.
                let _ = bars.suspend(|| writeln!(std::io::stderr(), "{text}"));
            }
            Sink::Plain => {
                let _ = writeln!(std::io::stderr(), "{text}");
            }
            Sink::Silent => {}
            Sink::Relay { .. } => self.send(&["line", text]),
        }
    }

    /// Begins a task that may take a while.
    pub fn task(&self, title: &str) -> Task {
        self.begin(title, FIRST_LINE, true)
    }

    /// The same without a line at the end. Without a terminal the first line comes after some seconds.
    pub fn quiet_task(&self, title: &str) -> Task {
        self.begin(title, LINE_INTERVAL, false)
    }

    fn begin(&self, title: &str, first_line: Duration, closing: bool) -> Task {
        let display = match &*self.0 {
            Sink::Terminal(bars) => {
                let bar = bars.add(ProgressBar::new_spinner());
                let style =
                    ProgressStyle::with_template("{spinner:.cyan} {prefix} {msg:.dim} {elapsed:.dim}")
                        .unwrap_or_else(|_| ProgressStyle::default_spinner());
                bar.set_style(style);
                bar.set_prefix(title.to_owned());
                bar.enable_steady_tick(Duration::from_millis(120));
                Display::Spinner(bar)
            }
            Sink::Plain => Display::Lines(Ticker::start(title, first_line)),
            Sink::Silent => Display::Nothing,
            Sink::Relay { next, .. } => {
                let id = next.fetch_add(1, Ordering::Relaxed).to_string();
                self.send(&["begin", &id, title]);
                Display::Relay(id)
            }
        };
        Task {
            console: self.clone(),
            title: title.to_owned(),
            begun: Instant::now(),
            display,
            closing,
            done: false,
        }
    }

    /// Runs the work as one task, which succeeds or fails with it.
    pub fn run<T>(&self, title: &str, work: impl FnOnce(&Task) -> Result<T>) -> Result<T> {
        let mut task = self.task(title);
        let result = work(&task);
        task.end(result.is_ok());
        result
    }

    fn send(&self, fields: &[&str]) {
        if let Sink::Relay { writer, .. } = &*self.0
            && let Ok(mut writer) = writer.lock()
        {
            let fields: Vec<String> = fields.iter().map(|field| field.replace(['\t', '\n'], " ")).collect();
            // The reader closes the pipe once the environment is up.
            let _ = writeln!(writer, "{}", fields.join("\t")).and_then(|()| writer.flush());
        }
    }
}

enum Display {
    Spinner(ProgressBar),
    Lines(Ticker),
    Relay(String),
    Nothing,
}

/// A task that runs. Dropped without [`Task::finish`] it counts as failed.
pub struct Task {
    console: Console,
    title: String,
    begun: Instant,
    display: Display,
    closing: bool,
    done: bool,
}

impl Task {
    /// Shows the progress of the task.
    pub fn detail(&self, text: &str) {
        match &self.display {
            Display::Spinner(bar) => bar.set_message(text.to_owned()),
            Display::Lines(ticker) => ticker.detail(text),
            Display::Relay(id) => self.console.send(&["detail", id, text]),
            Display::Nothing => {}
        }
    }

    /// Ends the task as succeeded.
    pub fn finish(mut self) {
        self.end(true);
    }

    fn end(&mut self, succeeded: bool) {
        if std::mem::replace(&mut self.done, true) {
            return;
        }
        let line = format!(
            "{} {} ({})",
            if succeeded { "✓" } else { "✗" },
            self.title,
            elapsed(self.begun.elapsed())
        );
        match std::mem::replace(&mut self.display, Display::Nothing) {
            Display::Spinner(bar) => {
                bar.finish_and_clear();
                self.close(&line);
            }
            Display::Lines(ticker) => {
                ticker.stop();
                self.close(&line);
            }
            Display::Relay(id) => self.console.send(&["end", &id, if succeeded { "ok" } else { "failed" }]),
            Display::Nothing => {}
        }
    }
}

impl Task {
    fn close(&self, line: &str) {
        if self.closing {
            self.console.line(line);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// Shows the tasks of another process.
pub struct Relayed {
    console: Console,
    tasks: HashMap<String, Task>,
}

impl Relayed {
    /// No tasks yet, on this console.
    pub fn new(console: &Console) -> Self {
        Self { console: console.clone(), tasks: HashMap::new() }
    }

    /// Handles one line of the other process. `false` if it is not about a task.
    pub fn handle(&mut self, line: &str) -> bool {
        let mut fields = line.splitn(3, '\t');
        match (fields.next(), fields.next(), fields.next()) {
            (Some("line"), Some(text), None) => self.console.line(text),
            (Some("begin"), Some(id), Some(title)) => {
                self.tasks.insert(id.to_owned(), self.console.task(title));
            }
            (Some("detail"), Some(id), Some(text)) => {
                if let Some(task) = self.tasks.get(id) {
                    task.detail(text);
                }
            }
            (Some("end"), Some(id), Some(how)) => {
                if let Some(mut task) = self.tasks.remove(id) {
                    task.end(how == "ok");
                }
            }
            _ => return false,
        }
        true
    }
}

/// Prints a line from time to time while a task runs.
struct Ticker {
    stop: mpsc::Sender<()>,
    detail: Arc<Mutex<String>>,
    thread: thread::JoinHandle<()>,
}

impl Ticker {
    fn start(title: &str, first_line: Duration) -> Self {
        let (stop, stopped) = mpsc::channel();
        let detail = Arc::<Mutex<String>>::default();
        let (title, shared, begun) = (title.to_owned(), Arc::clone(&detail), Instant::now());
        let thread = thread::spawn(move || {
            let mut pause = first_line;
            while stopped.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
                let detail = shared.lock().map(|text| text.clone()).unwrap_or_default();
                let _ = writeln!(std::io::stderr(), "{}", progress_line(&title, &detail, begun.elapsed()));
                pause = LINE_INTERVAL;
            }
        });
        Self { stop, detail, thread }
    }

    fn detail(&self, text: &str) {
        if let Ok(mut detail) = self.detail.lock() {
            text.clone_into(&mut detail);
        }
    }

    fn stop(self) {
        drop(self.stop);
        let _ = self.thread.join();
    }
}

fn progress_line(title: &str, detail: &str, since: Duration) -> String {
    match (since >= LINE_INTERVAL, detail) {
        (false, "") => format!("  {title} …"),
        (false, detail) => format!("  {title}: {detail} …"),
        (true, "") => format!("  {title} … {}", elapsed(since)),
        (true, detail) => format!("  {title}: {detail} … {}", elapsed(since)),
    }
}

/// Formats a duration: `1.2 s`, `9 min 07 s`.
pub fn elapsed(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_formatted() {
        assert_eq!(elapsed(Duration::from_millis(1_249)), "1.2 s");
        assert_eq!(elapsed(Duration::from_secs(59)), "59.0 s");
        assert_eq!(elapsed(Duration::from_secs(547)), "9 min 07 s");
    }

    #[test]
    fn a_plain_line_has_title_progress_and_time() {
        assert_eq!(progress_line("Starting Kafka", "", Duration::from_secs(1)), "  Starting Kafka …");
        assert_eq!(
            progress_line("Compiling", "3 of 9", Duration::from_secs(61)),
            "  Compiling: 3 of 9 … 1 min 01 s"
        );
    }

    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<Vec<u8>>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn tasks_are_relayed_between_processes() {
        let pipe = Pipe::default();
        let console = Console::relay(pipe.clone());
        let halfway = |task: &Task| {
            task.detail("half");
            Ok(())
        };
        console.run("one\ttwo", halfway).expect("the task succeeds");
        drop(console.task("broken"));
        let text = String::from_utf8(pipe.0.lock().expect("not poisoned").clone()).expect("text");
        assert_eq!(
            text,
            "begin\t0\tone two\ndetail\t0\thalf\nend\t0\tok\nbegin\t1\tbroken\nend\t1\tfailed\n"
        );
        let mut relayed = Relayed::new(&Console::silent());
        assert!(text.lines().all(|line| relayed.handle(line)));
        assert!(relayed.tasks.is_empty());
        assert!(!relayed.handle("ready"));
    }
}
