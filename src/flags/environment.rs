//! Flags from environment variables, as service managers and compose files set them.

use std::ffi::{OsStr, OsString};

use clap::builder::{OsStringValueParser, Resettable};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Error};

/// Parses arguments and the environment. An empty variable counts as unset. White space around
/// a value is ignored, because a file of variables from Windows has a carriage return after each value.
///
/// # Errors
/// The errors of clap. An error about the value of a variable names the variable, not the flag.
pub fn parse(command: &Command, arguments: &[OsString]) -> Result<ArgMatches, Error> {
    let effective = command.clone().mut_args(with_negative_numbers).mut_args(with_trimmed_variable);
    effective.try_get_matches_from(arguments).map_err(|error| explain(error, command, arguments))
}

/// Prints the help or the version and ends the program, if the arguments ask for that.
pub fn help(command: &Command, arguments: &[OsString]) {
    if let Err(error) = parse(command, arguments)
        && !error.use_stderr()
    {
        error.exit();
    }
}

/// Everything that clap would refuse, in one line each: all values that cannot be parsed, and then the
/// first other error.
pub fn faults(command: &Command, arguments: &[OsString]) -> Vec<String> {
    let mut command = command.clone();
    let mut faults = Vec::new();
    while let Err(error) = parse(&command, arguments) {
        faults.push(reason(&error));
        let Some(id) = flag_in(&error, &command).filter(|_| is_about_value(&error)) else { break };
        // Without its parser, the flag accepts any value, and the next error is about another flag.
        command = command.mut_arg(id, |arg| arg.value_parser(OsStringValueParser::new()));
    }
    faults
}

/// What an error says, in one line, without the usage and the hints that follow.
fn reason(error: &Error) -> String {
    let text = error.to_string();
    let lines: Vec<_> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    let line = lines.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

fn is_about_value(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue)
}

/// The id of the flag that an error names by itself or by its variable.
fn flag_in(error: &Error, command: &Command) -> Option<String> {
    let Some(ContextValue::String(name)) = error.get(ContextKind::InvalidArg) else { return None };
    let long = name.strip_prefix("--").and_then(|usage| usage.split(' ').next());
    let is_named = |arg: &&Arg| match long {
        Some(long) => arg.get_long() == Some(long),
        None => variable(arg).as_ref() == Some(name),
    };
    command.get_arguments().find(is_named).map(|arg| arg.get_id().to_string())
}

/// The name of what the user set: the variable if the value comes from there, otherwise the flag.
pub fn given_name(command: &Command, matches: &ArgMatches, flag: &str) -> String {
    let on_command_line = matches.value_source(flag) == Some(ValueSource::CommandLine);
    let arg = command.get_arguments().find(|arg| arg.get_id() == flag);
    let set = arg.filter(|arg| !on_command_line && value(arg).is_some_and(|set| !is_blank(&set)));
    set.and_then(variable).unwrap_or_else(|| format!("--{}", flag.replace('_', "-")))
}

fn explain(mut error: Error, command: &Command, arguments: &[OsString]) -> Error {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // The help lists every variable, including empty ones.
        return command.clone().try_get_matches_from(arguments).err().unwrap_or(error);
    }
    let without_variables = command.clone().mut_args(without_variable);
    let is_about_variable = without_variables.try_get_matches_from(arguments).is_ok();
    if is_about_variable && let Some(variable) = variable_in(&error, command) {
        error.insert(ContextKind::InvalidArg, ContextValue::String(variable));
    }
    error
}

/// The variable of the flag that an error names.
fn variable_in(error: &Error, command: &Command) -> Option<String> {
    let Some(ContextValue::String(usage)) = error.get(ContextKind::InvalidArg) else { return None };
    let long = usage.strip_prefix("--")?.split(' ').next();
    command.get_arguments().find(|arg| arg.get_long() == long).and_then(variable)
}

fn variable(arg: &Arg) -> Option<String> {
    arg.get_env().map(|name| name.to_string_lossy().into_owned())
}

/// The value of the flag's variable, if that is set.
fn value(arg: &Arg) -> Option<OsString> {
    arg.get_env().and_then(std::env::var_os)
}

fn is_blank(value: &OsStr) -> bool {
    value.to_string_lossy().trim().is_empty()
}

/// The flag, accepting values that begin with a minus, so that the error is about the value.
fn with_negative_numbers(arg: Arg) -> Arg {
    let takes_value = arg.get_action().takes_values();
    arg.allow_negative_numbers(takes_value)
}

/// The flag without its variable if the variable is blank. If its value has white space around it, the
/// trimmed value becomes the flag's default.
fn with_trimmed_variable(arg: Arg) -> Arg {
    let Some(value) = value(&arg) else { return arg };
    if is_blank(&value) {
        return without_variable(arg);
    }
    match value.to_str() {
        Some(text) if text.trim() != text => {
            without_variable(arg).default_value(text.trim().to_owned())
        }
        _ => arg,
    }
}

fn without_variable(arg: Arg) -> Arg {
    arg.env(Resettable::Reset)
}
