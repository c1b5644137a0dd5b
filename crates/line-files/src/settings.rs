use crate::above_zero;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::PathBuf;
use std::time::Duration;
use waybill_types::serde_duration_opt;

/// Uncompressed bytes of a file before the next one begins.
pub const DEFAULT_MAX_FILE_SIZE: u64 = 1_000_000_000;
/// Lines that may wait to be written; one more makes its sender wait.
pub const DEFAULT_BACK_PRESSURE: usize = 128_000;

/// A place for a file, one at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// Its directory.
    pub dir: PathBuf,
    /// What its name ends in.
    pub suffix: String,
}

/// What the files of one [`crate::LineFiles`] are like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Where lines may go.
    pub places: Vec<Place>,
    /// Directories to prepare: those of the places, and others where an earlier run may have left files.
    pub dirs: Vec<PathBuf>,
    /// Uncompressed bytes of a file before the next one begins.
    pub max_file_size: u64,
    /// The age at which a file ends, also when nothing is written.
    pub max_segment_duration: Option<Duration>,
    /// The level of zstd; 0 is zstd's own default.
    pub compression_level: i32,
    /// Items that may wait to be written.
    pub back_pressure: usize,
}

/// Files of one kind of line, as a policy asks for them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, remote = "Self")]
pub struct LineFilesConfig {
    /// Where the files are. It is created.
    #[serde(deserialize_with = "waybill_types::text::path")]
    pub log_dir: PathBuf,
    /// Uncompressed bytes of a file before the next one begins.
    #[serde(default = "max_file_size", deserialize_with = "above_zero")]
    pub max_file_size: u64,
    /// The age at which a file ends, also when nothing is written; unset: it may grow old.
    #[serde(default, with = "serde_duration_opt")]
    pub max_segment_duration: Option<Duration>,
    /// The level of zstd; 0 is zstd's own default.
    #[serde(default)]
    pub compression_level: i32,
    /// Lines that may wait to be written.
    #[serde(default = "back_pressure", deserialize_with = "above_zero")]
    pub back_pressure: usize,
}

impl LineFilesConfig {
    /// One place for all lines.
    pub fn settings(&self) -> Settings {
        Settings {
            places: vec![Place { dir: self.log_dir.clone(), suffix: String::new() }],
            dirs: vec![self.log_dir.clone()],
            max_file_size: self.max_file_size,
            max_segment_duration: self.max_segment_duration,
            compression_level: self.compression_level,
            back_pressure: self.back_pressure,
        }
    }
}

/// Says what of these a policy could not mean.
///
/// # Errors
/// A sentence that begins with the option's name.
pub fn check(max_segment_duration: Option<Duration>, compression_level: i32) -> Result<(), String> {
    if max_segment_duration.is_some_and(|age| age.is_zero()) {
        return Err("max_segment_duration: expected a duration above zero".to_owned());
    }
    let levels = zstd::compression_level_range();
    if levels.contains(&compression_level) {
        return Ok(());
    }
    Err(format!("compression_level: expected at most {}, got {compression_level}", levels.end()))
}

// `remote = "Self"` gives inherent functions, so that the checks stand between serde and everybody else.
impl<'de> Deserialize<'de> for LineFilesConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = LineFilesConfig::deserialize(deserializer)?;
        check(config.max_segment_duration, config.compression_level).map_err(serde::de::Error::custom)?;
        Ok(config)
    }
}

impl Serialize for LineFilesConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        LineFilesConfig::serialize(self, serializer)
    }
}

fn max_file_size() -> u64 {
    DEFAULT_MAX_FILE_SIZE
}

fn back_pressure() -> usize {
    DEFAULT_BACK_PRESSURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let read = |json: &str| serde_json::from_str::<LineFilesConfig>(json).map_err(|error| error.to_string());
        let least = read(r#"{"log_dir": "/l"}"#).unwrap();
        assert_eq!(
            (least.max_file_size, least.back_pressure, least.max_segment_duration),
            (1_000_000_000, 128_000, None)
        );
        assert_eq!(read(r#"{"log_dir": "/l", "max_file_size": 1e6}"#).unwrap().max_file_size, 1_000_000);
        for (json, name) in [
            (r#"{"log_dir": "/l", "max_file_size": 0}"#, "above zero"),
            (r#"{"log_dir": "/l", "back_pressure": 0.5}"#, "above zero"),
            (r#"{"log_dir": "/l", "max_segment_duration": 0}"#, "max_segment_duration"),
            (r#"{"log_dir": "/l", "compression_level": 99}"#, "compression_level"),
            (r#"{"log_dir": "/l", "colour": 1}"#, "unknown field `colour`"),
            ("{}", "missing field `log_dir`"),
        ] {
            let error = read(json).unwrap_err();
            assert!(error.contains(name), "{json}: {error}");
        }
    }
}
