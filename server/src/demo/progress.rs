//! What people see while it runs: a line for what is done, a bar for what is under way.

use super::client::Client;
use anyhow::bail;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value as Json;
use std::{collections::BTreeMap, fmt::Display, time::Duration};

/// The characters of a bar.
const WIDTH: usize = 28;

/// Where lines and bars go.
#[derive(Clone)]
pub struct Progress {
    bars: MultiProgress,
    quiet: bool,
}

impl Progress {
    /// On the terminal: lines to standard output, bars to standard error where that is a terminal.
    pub fn on_terminal() -> Self {
        Self { bars: MultiProgress::new(), quiet: false }
    }

    /// Nowhere.
    pub fn hidden() -> Self {
        Self { bars: MultiProgress::with_draw_target(ProgressDrawTarget::hidden()), quiet: true }
    }

    /// The title of what follows.
    pub fn title(&self, title: &str) {
        self.line("");
        self.line(title);
    }

    /// Something was done, and checked.
    pub fn done(&self, what: impl Display) {
        self.line(&format!("  ✓ {what}"));
    }

    /// Text that belongs to what was said last.
    pub fn quote(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("    │ {line}"));
        }
    }

    /// A line.
    pub fn line(&self, text: &str) {
        if !self.quiet {
            self.bars.suspend(|| println!("{text}"));
        }
    }

    /// Follows an operation with a bar, to its end. Anything but success is an error that names the steps that failed.
    pub async fn follow(&self, client: &Client, operation: &str, what: &str) -> anyhow::Result<Json> {
        let bar = self.bars.add(ProgressBar::new(1000));
        let style = ProgressStyle::with_template(&format!(
            "  {{spinner}} {what:<34} {{bar:{WIDTH}}} {{percent:>3}} %  {{msg}}"
        ));
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        let mut bytes = Bytes::default();
        let ended = client
            .follow(operation, |event| {
                bytes.take(event);
                if let Some(progress) = event["progress"].as_f64().filter(|_| !is_of_step(event)) {
                    bar.set_position(thousandths(progress));
                } else if let Some(share) = bytes.share() {
                    bar.set_position(bar.position().max(share));
                }
                let said = event["step"].as_str().or(event["message"].as_str()).unwrap_or_default();
                let said: String = said.chars().take(60).collect();
                bar.set_message(match bytes.total() {
                    0 => said,
                    total => format!("{} of {}  {said}", mib(bytes.done()), mib(total)),
                });
            })
            .await;
        bar.finish_and_clear();
        self.bars.remove(&bar);
        let operation = ended?;
        if operation["state"] != "SUCCEEDED" {
            bail!(
                "{what}: the operation ended as {}{}",
                operation["state"].as_str().unwrap_or("?"),
                failures(&operation)
            );
        }
        Ok(operation)
    }
}

/// Bytes as people read them.
pub fn mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// The bytes that the steps of an operation have moved, and have to.
#[derive(Debug, Default)]
pub struct Bytes(BTreeMap<String, (u64, u64)>);

impl Bytes {
    /// Takes what an event says.
    pub fn take(&mut self, event: &Json) {
        let number = |name: &str| {
            let value = &event["data"][name];
            value.as_u64().or_else(|| value.as_str()?.parse().ok())
        };
        if let (Some(done), Some(total)) = (number("bytesDone"), number("bytesTotal")) {
            self.0.insert(event["step"].as_str().unwrap_or_default().to_owned(), (done, total));
        }
    }

    /// Moved.
    pub fn done(&self) -> u64 {
        self.0.values().map(|(done, _)| done).sum()
    }

    /// To be moved, as far as that is known.
    pub fn total(&self) -> u64 {
        self.0.values().map(|(_, total)| total).sum()
    }

    /// Of a thousand.
    fn share(&self) -> Option<u64> {
        (self.done() * 1000).checked_div(self.total())
    }
}

fn is_of_step(event: &Json) -> bool {
    event["step"].is_string()
}

/// A fraction of one, in thousandths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 1000")]
fn thousandths(progress: f64) -> u64 {
    (progress.clamp(0.0, 1.0) * 1000.0) as u64
}

/// What failed of an operation, one line each.
fn failures(operation: &Json) -> String {
    let mut text = match operation["error"]["message"].as_str() {
        Some(message) => format!(": {message}"),
        None => String::new(),
    };
    for step in operation["steps"].as_array().into_iter().flatten().filter(|step| step["state"] == "FAILED") {
        let (name, error) = (step["name"].as_str().unwrap_or("?"), step["error"].as_str().unwrap_or("?"));
        text.extend(["\n    step ", name, ": ", error]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bytes_are_summed_over_steps_and_the_last_word_of_each_counts() {
        let mut bytes = Bytes::default();
        for (step, done, total) in [("a", 1, 10), ("b", 2, 20), ("a", 10, 10)] {
            bytes.take(&json!({ "step": step, "data": { "bytesDone": done, "bytesTotal": total } }));
        }
        bytes.take(&json!({ "step": "c", "data": null }));
        assert_eq!((bytes.done(), bytes.total(), bytes.share()), (12, 30, Some(400)));
        assert_eq!(mib(3 << 20), "3.0 MiB");
    }
}
