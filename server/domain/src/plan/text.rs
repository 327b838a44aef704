//! Plans as text: what is blocked, applied, kept, left, asked and done, in this order.

use super::Plan;
use crate::change::{Change, ChangeKind};
use std::fmt::Write as _;

/// Lines of at most this many characters of a value are shown.
const SHOWN: usize = 60;

pub(super) fn render(plan: &Plan) -> String {
    let mut out = String::new();
    section(&mut out, "Blocked until this is settled", &plan.blockers, |blocker| {
        vec![format!("[{}] {}", blocker.code, blocker.message)]
    });
    section(&mut out, "Warnings", &plan.warnings, |warning| vec![warning.clone()]);
    section(&mut out, "Values to supply", &plan.asks, |ask| {
        let mut line = format!("{}: {}", ask.owner_name, ask.name);
        if let Some(description) = &ask.description {
            let _ = write!(line, " ({})", one_line(description));
        }
        vec![line]
    });
    let applied: Vec<_> = plan.applied().collect();
    section(&mut out, "Applied", &applied, |change| vec![line(change)]);
    let kept: Vec<_> = plan.kept().collect();
    section(&mut out, "Kept as it is here", &kept, |change| {
        vec![line(change), format!("  {} (change {})", change.reason, &change.id.as_str()[..8])]
    });
    section(&mut out, "Left for people", &plan.left, |left| {
        let what = match left.kind.as_str() {
            "component" | "resource" => format!("{} {}", left.kind, left.name),
            _ => format!("{}: {} {}", left.owner_name, left.kind, left.name),
        };
        vec![what, format!("  {}", left.reason)]
    });
    section(&mut out, "Steps", &plan.steps, |step| vec![format!("{}. {}", step.number, step.summary)]);
    if applied.is_empty() && plan.steps.is_empty() {
        out.push_str("Nothing to apply.\n");
    }
    out
}

fn section<T>(out: &mut String, title: &str, items: &[T], lines: impl Fn(&T) -> Vec<String>) {
    if items.is_empty() {
        return;
    }
    let _ = writeln!(out, "{title}:");
    for line in items.iter().flat_map(lines) {
        let _ = writeln!(out, "  {line}");
    }
}

fn line(change: &Change) -> String {
    let sign = match change.kind {
        ChangeKind::Add => '+',
        ChangeKind::Update => '~',
        ChangeKind::Remove => '-',
    };
    let values = match (&change.before, &change.after) {
        (Some(before), Some(after)) => format!(": {} -> {}", one_line(before), one_line(after)),
        (None, Some(value)) | (Some(value), None) => format!(": {}", one_line(value)),
        (None, None) => String::new(),
    };
    match change.path.as_str() {
        "component" => format!("{sign} component {}", change.owner_name),
        "resource" => format!("{sign} {}", change.owner_name),
        path => format!("{sign} {} {path}{values}", change.owner_name),
    }
}

/// The first line, shortened: a plan's text is read, not parsed.
fn one_line(value: &str) -> String {
    if value.starts_with("(secret") {
        return value.to_owned();
    }
    let first = value.lines().next().unwrap_or_default();
    if first.chars().count() <= SHOWN && first.len() == value.len() {
        return format!("{value:?}");
    }
    let start: String = first.chars().take(SHOWN).collect();
    format!("{start:?}... ({} characters)", value.chars().count())
}
