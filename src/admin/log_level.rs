//! The log level, which operators can change while the server runs.

use log::{LevelFilter, info};
use serde_json::{Value, json};
use townhall::Request;

use super::parameters::parameters;

/// The log level as JSON, beside the one of the start.
pub fn show(default: LevelFilter) -> Value {
    json!({"level": name(log::max_level()), "default": name(default)})
}

/// Sets the level of the parameter `level`.
///
/// # Errors
/// The parameter is missing, or is not a level.
pub fn set(request: &Request<'_>) -> Result<(), String> {
    let level = parameters(request).find(|(name, _)| name == "level");
    let (_, level) = level.ok_or("the parameter level is missing")?;
    let wrong =
        |_| format!("level is {level:?}, but must be off, error, warn, info, debug or trace");
    change(level.parse().map_err(wrong)?);
    Ok(())
}

/// Sets a level. The line is logged at the more talkative of both levels.
pub fn change(level: LevelFilter) {
    let before = log::max_level();
    log::set_max_level(before.max(level));
    info!("an operator set the log level from {before} to {level}");
    log::set_max_level(level);
}

fn name(level: LevelFilter) -> String {
    level.as_str().to_lowercase()
}
