//! What the configuration means for each record type, worked out once.

use crate::config::{LocalLogsConfig, PerRecord};
use crate::template::{TemplateError, Templates};
use minijinja::Environment;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use waybill_line_files::{Place, Route, Settings};
use waybill_log_record::{Capture, RecordType, RecordView};

pub(super) struct Plan {
    /// Types that agree on directory and suffix share one.
    targets: Vec<Place>,
    pub(super) capture: Arc<Capture>,
    routes: BTreeMap<RecordType, Route>,
    templates: Templates,
}

impl Plan {
    pub(super) fn new(config: &LocalLogsConfig, environment: &Environment<'static>) -> Result<Self, TemplateError> {
        let owner = format!("log files in {}", config.log_dir.display());
        let templates = Templates::compile(owner, &config.per_record, environment)?;
        let mut plan =
            Plan { targets: Vec::new(), capture: Arc::new(config.capture()), routes: BTreeMap::new(), templates };
        let default = PerRecord::default();
        for kind in RecordType::ALL.iter().copied().filter(|kind| config.per_record.enables(*kind)) {
            let entry = config.per_record.entry(kind).unwrap_or(&default);
            let target = Place {
                dir: entry.log_dir.clone().unwrap_or_else(|| config.log_dir.clone()),
                suffix: entry.suffix.clone().unwrap_or_default(),
            };
            let mut header = entry.segment_header.clone();
            // Without it the first record would stand on the header's last line.
            if !header.is_empty() && !header.ends_with('\n') {
                header.push('\n');
            }
            let place = plan.target(target);
            plan.routes.insert(kind, Route { place, header: header.into() });
        }
        Ok(plan)
    }

    fn target(&mut self, target: Place) -> usize {
        self.targets.iter().position(|known| *known == target).unwrap_or_else(|| {
            self.targets.push(target);
            self.targets.len() - 1
        })
    }

    /// What the files are like.
    pub(super) fn settings(&self, config: &LocalLogsConfig) -> Settings {
        Settings {
            places: self.targets.clone(),
            dirs: directories(config).into_iter().map(Into::into).collect(),
            max_file_size: config.max_file_size,
            max_segment_duration: config.max_segment_duration,
            compression_level: config.compression_level,
            back_pressure: config.back_pressure,
        }
    }

    /// Where records of this type go; `None` when they go nowhere.
    pub(super) fn route(&self, kind: RecordType) -> Option<&Route> {
        self.routes.get(&kind)
    }

    /// The record's text by its template, `None` where it has none.
    pub(super) fn render(&self, view: &RecordView) -> Result<Option<String>, TemplateError> {
        self.templates.render(view)
    }
}

/// Every directory that a configuration names, each once: also those of types that are switched off, since what an
/// earlier run left there is done all the same.
fn directories(config: &LocalLogsConfig) -> Vec<&Path> {
    let mut all: Vec<&Path> = vec![&config.log_dir];
    all.extend(config.per_record.iter().filter_map(|(_, entry)| entry.log_dir.as_deref()));
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn types_that_agree_on_directory_and_suffix_share_a_file() {
        let config: LocalLogsConfig = from_value(json!({"log_dir": "/l", "per_record": {
            "Reception": {"suffix": "_recv", "segment_header": "# in"},
            "XferIn": {"suffix": "_recv"},
            "Bounce": {"log_dir": "/b", "enable": false},
            "Rejection": {"log_dir": "/r"},
        }}))
        .unwrap();
        let plan = Plan::new(&config, &Environment::new()).unwrap();
        let target = |kind| plan.route(kind).map(|route| plan.targets[route.place].clone());
        let at = |dir: &str, suffix: &str| Some(Place { dir: dir.into(), suffix: suffix.into() });
        assert_eq!(target(RecordType::Reception), at("/l", "_recv"));
        assert_eq!(target(RecordType::XferIn), at("/l", "_recv"));
        assert_eq!(target(RecordType::Delivery), at("/l", ""));
        assert_eq!(target(RecordType::Rejection), at("/r", ""));
        assert_eq!(target(RecordType::Bounce), None);
        assert_eq!(plan.targets.len(), 3);
        assert_eq!(plan.route(RecordType::Reception).map(|route| &*route.header), Some("# in\n"));
        assert_eq!(directories(&config), [Path::new("/b"), Path::new("/l"), Path::new("/r")]);
    }
}
