//! The manual (`docs/cli.md`) and the shell completions, made from the records in `args`.

use std::fmt::Write as _;
use std::io::Write;

use clap::{Arg, Command, CommandFactory};

use crate::args::CommandLine;
use crate::error::CliError;

const PREFACE: &str = "\
# softargmax on the command line

<!-- Made by `make docs` from cli/src/args.rs. Change that file, not this one. -->
";

/// Prints the completions for a shell.
pub(crate) fn completions(shell: clap_complete::Shell) -> Result<(), CliError> {
    // clap_complete offers hidden verbs, too.
    let program = CommandLine::command();
    let verbs = program.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    let mut program =
        Command::new("softargmax").version(env!("CARGO_PKG_VERSION")).subcommands(verbs);
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut program, "softargmax", &mut script);
    print(&script)
}

/// Prints the manual.
pub(crate) fn help_markdown() -> Result<(), CliError> {
    let mut program = CommandLine::command();
    program.build();
    let mut page = String::from(PREFACE);
    section(&mut page, &program);
    for verb in program.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        // `help` is clap's own and explains itself.
        if verb.get_name() != "help" {
            let _ = write!(page, "\n## {}\n", verb.get_name());
            section(&mut page, verb);
            for part in verb.get_subcommands().filter(|part| part.get_name() != "help") {
                let _ = write!(page, "\n### {} {}\n", verb.get_name(), part.get_name());
                section(&mut page, part);
            }
        }
    }
    print(page.as_bytes())
}

/// What a command is for, its usage, its arguments and its examples.
fn section(page: &mut String, command: &Command) {
    let about = command.get_long_about().or(command.get_about()).cloned().unwrap_or_default();
    let usage = command.clone().render_usage().to_string().replace("Usage: ", "");
    // Writing to a String cannot fail.
    let _ = write!(page, "\n{}\n\n```text\n{usage}\n```\n", sentence(&about.to_string()));

    let is_own = |arg: &&Arg| !["help", "version"].contains(&arg.get_id().as_str());
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_own).collect();
    if !arguments.is_empty() {
        page.push_str("\n| | |\n| --- | --- |\n");
    }
    for argument in arguments {
        let _ = writeln!(page, "| `{}` | {} |", name(argument), meaning(argument));
    }
    if let Some(after) = command.get_after_help() {
        let after = after.to_string();
        let after = after.trim_start_matches("Examples:\n");
        let (examples, rest) = after.split_once("\n\n").unwrap_or((after, ""));
        let examples: Vec<&str> = examples.lines().map(str::trim).collect();
        let _ = write!(page, "\n```sh\n{}\n```\n", examples.join("\n"));
        if !rest.is_empty() {
            let _ = write!(page, "\n{rest}\n");
        }
    }
}

/// `-t, --temperatures <LIST>`, or `<LOGITS>...` for one without a flag.
fn name(argument: &Arg) -> String {
    let text = argument.to_string();
    match argument.get_short() {
        Some(short) => format!("-{short}, {text}"),
        None => text,
    }
}

/// Everything the help says of an argument, in one table cell.
fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).cloned().unwrap_or_default();
    let help = help.to_string();
    let mut text = help.split("\n\n").map(sentence).collect::<Vec<_>>().join(" ");
    if argument.get_action().takes_values() {
        let values = argument.get_possible_values();
        let values: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
        if !values.is_empty() {
            let _ = write!(text, " One of {}.", values.join(", "));
        }
        if let [value] = argument.get_default_values() {
            let _ = write!(text, " [default: {}]", value.display());
        }
    }
    text.replace('|', "\\|")
}

/// The full stop that terminal help leaves out after a single sentence.
fn sentence(text: &str) -> String {
    let stop = if text.ends_with(['.', ']']) { "" } else { "." };
    format!("{text}{stop}")
}

fn print(bytes: &[u8]) -> Result<(), CliError> {
    std::io::stdout().lock().write_all(bytes).map_err(CliError::stdout)
}
