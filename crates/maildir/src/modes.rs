use waybill_delivery::ConfigError;
use waybill_queue_core::config::MaildirSection;

/// Permissions of what is created; where unset the umask decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Modes {
    pub(crate) dir: Option<u32>,
    pub(crate) file: Option<u32>,
}

/// Without these we could not write into the folder that we have just created.
const OWNER: u32 = 0o700;

impl Modes {
    /// Checks what a section says. `dir_mode = 755` is the usual mistake, since Lua has no octal numbers: as bits that
    /// is 1363, which we could not write into.
    pub(crate) fn of(section: &MaildirSection) -> Result<Self, ConfigError> {
        let (dir, file) = (section.dir_mode, section.file_mode);
        if let Some(mode) = dir.filter(|mode| *mode > 0o7777 || mode & OWNER != OWNER) {
            return Err(refuse("dir_mode", mode, "755"));
        }
        if let Some(mode) = file.filter(|mode| *mode > 0o777) {
            return Err(refuse("file_mode", mode, "644"));
        }
        Ok(Modes { dir, file })
    }
}

fn refuse(field: &str, mode: u32, example: &str) -> ConfigError {
    let text = format!(
        "protocol.{field}: {mode} is {mode:o} as a mode, which cannot be meant; write tonumber('{example}', 8), say"
    );
    ConfigError(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(dir_mode: Option<u32>, file_mode: Option<u32>) -> Result<Modes, String> {
        let section = MaildirSection { maildir_path: "/m".into(), dir_mode, file_mode };
        Modes::of(&section).map_err(|error| error.to_string())
    }

    #[test]
    fn modes_are_bits() {
        let expected = Modes { dir: Some(0o2770), file: Some(0o440) };
        assert_eq!(modes(Some(0o2770), Some(0o440)), Ok(expected));
        assert_eq!(modes(None, None), Ok(Modes::default()));
    }

    #[test]
    fn digits_that_were_meant_as_octal_are_refused_with_the_way_out() {
        for digits in [700, 750, 755, 770, 775, 777] {
            assert!(modes(Some(digits), None).is_err(), "{digits}");
        }
        for digits in [600, 640, 644, 660, 664, 666] {
            assert!(modes(None, Some(digits)).is_err(), "{digits}");
        }
        let error = modes(Some(755), None).unwrap_err();
        assert!(error.contains("dir_mode: 755 is 1363") && error.contains("tonumber('755', 8)"), "{error}");
    }
}
