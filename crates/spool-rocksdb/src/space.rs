use crate::options::Room;
use std::path::PathBuf;
use waybill_runtime::DiskRoom;

/// Watches the room on the disks of the spool.
#[derive(Debug)]
pub(crate) struct SpaceGuard {
    pub(crate) places: Vec<(PathBuf, Room)>,
}

impl SpaceGuard {
    /// What is missing, if anything, in words for the operator.
    pub(crate) fn check(&self) -> Option<String> {
        self.places.iter().find_map(|(path, room)| {
            let disk = match DiskRoom::at(path) {
                Ok(disk) => disk,
                Err(error) => {
                    // Whether there is room is not known; a write will tell.
                    tracing::warn!("cannot tell how full the disk of {} is: {error}", path.display());
                    return None;
                }
            };
            let shortage = disk.shortage(room.min_free_space, room.min_free_inodes)?;
            Some(format!("disk is too full: {} has {shortage}", path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_types::MinFree;

    const ALL: Room = Room { min_free_space: MinFree::Amount(u64::MAX), min_free_inodes: MinFree::Amount(0) };
    const NONE: Room = Room { min_free_space: MinFree::Amount(0), min_free_inodes: MinFree::Amount(0) };

    fn guard(places: &[(&str, Room)]) -> SpaceGuard {
        SpaceGuard { places: places.iter().map(|(path, room)| (PathBuf::from(path), *room)).collect() }
    }

    #[test]
    fn each_place_has_its_own_least_room() {
        assert_eq!(guard(&[("/", NONE), ("/tmp", NONE)]).check(), None);
        let why = guard(&[("/", NONE), ("/tmp", ALL)]).check().unwrap();
        assert!(why.starts_with("disk is too full: /tmp has ") && why.contains("bytes free"), "{why}");
        let why = guard(&[("/", ALL), ("/tmp", NONE)]).check().unwrap();
        assert!(why.starts_with("disk is too full: / has "), "{why}");
    }

    #[test]
    fn a_path_that_is_gone_is_no_reason_to_refuse_mail() {
        assert_eq!(guard(&[("/does/not/exist", ALL)]).check(), None);
    }
}
