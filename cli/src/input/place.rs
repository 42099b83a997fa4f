//! What an argument names: `FILE[:COLUMN]`, where FILE may be a folder or a pattern.
//!
//! ```text
//! logits.npy              one file
//! logs/                   every file in it whose name does not begin with . or _, in name order
//! 'logs/part-*.parquet'   every file that fits, in name order; ** for any folders between
//! logs.parquet:scores     the column (or array) of that name
//! logs.parquet:logit_*    the columns whose names fit, one for each class; a,b,c lists them
//! :label                  the column of that name beside the logits
//! -                       standard input
//! ```
//!
//! A file that exists under the whole name is meant by it, whatever is in the name.

use std::fs;
use std::path::{Path, PathBuf};

use super::InputError;

/// A file or several, and the column that is meant.
#[derive(Debug)]
pub(crate) struct Place {
    file: PathBuf,
    pub(super) column: Option<String>,
}

impl Place {
    pub(crate) fn of(path: &Path) -> Self {
        let whole = || Place { file: path.to_owned(), column: None };
        let Some((file, column)) = path.to_str().and_then(|text| text.rsplit_once(':')) else {
            return whole();
        };
        // A lone letter in front is a disk.
        let is_column = !column.is_empty() && !column.contains(['/', '\\']) && file.len() != 1;
        if !(is_column || file == "-") || path.exists() {
            return whole();
        }
        Place { file: file.into(), column: Some(column.to_owned()) }
    }

    /// The same column of the file of `logits`, where no file is named.
    pub(super) fn beside(mut self, logits: &Path) -> Self {
        if self.file.as_os_str().is_empty() {
            self.file = Place::of(logits).file;
        }
        self
    }

    /// What messages call it.
    pub(super) fn name(&self) -> String {
        let file = self.file.display();
        self.column.as_ref().map_or(file.to_string(), |column| format!("{file}:{column}"))
    }

    /// What messages call that which stands beside these logits: `:label` is a column of theirs.
    pub(crate) fn name_beside(path: &Path, logits: &Path) -> String {
        Place::of(path).beside(logits).name()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    /// Whether it is standard input, a pipe or a device, which cannot be gone through again.
    pub(crate) fn is_read_once(&self) -> bool {
        let is_special = |metadata: fs::Metadata| !metadata.is_file() && !metadata.is_dir();
        self.is_stream() || fs::metadata(&self.file).is_ok_and(is_special)
    }

    /// The files, at least one, in the order of their names.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, InputError> {
        let refused = |reason: String, hint: &str| {
            InputError::new(reason).within(&self.file.display().to_string()).hint(hint)
        };
        if self.file.as_os_str().is_empty() {
            return Err(InputError::new("a column without a file").hint("write FILE:COLUMN"));
        }
        if self.file.is_dir() {
            let entries = fs::read_dir(&self.file).and_then(|entries| {
                entries.map(|entry| entry.map(|e| e.path())).collect::<Result<Vec<_>, _>>()
            });
            let mut files = entries.map_err(|e| refused(format!("cannot be read: {e}"), ""))?;
            files.retain(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                path.is_file() && !name.starts_with(['.', '_'])
            });
            files.sort();
            if files.is_empty() {
                let hint = "of files in folders below it: 'folder/**/*.parquet', in quotes";
                return Err(refused("is a folder without files".to_owned(), hint));
            }
            return Ok(files);
        }
        let pattern = self.file.to_str().filter(|text| text.contains(['*', '?', '[']));
        let Some(pattern) = pattern.filter(|_| !self.file.exists()) else {
            return Ok(vec![self.file.clone()]);
        };
        let found = glob::glob(pattern).map_err(|e| refused(format!("is no pattern: {e}"), ""))?;
        let mut files = Vec::new();
        for path in found {
            let path = path.map_err(|e| refused(format!("cannot be searched: {e}"), ""))?;
            if path.is_file() {
                files.push(path);
            }
        }
        files.sort();
        if files.is_empty() {
            let hint = "* is anything in a name, ? a character, ** any folders";
            return Err(refused("no file has such a name".to_owned(), hint));
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_stands_behind_the_last_colon() {
        for (text, file, column) in [
            ("a.npz:x", "a.npz", Some("x")),
            ("logs/*.parquet:logit_*", "logs/*.parquet", Some("logit_*")),
            (":label", "", Some("label")),
            ("-:x", "-", Some("x")),
            ("a.npz", "a.npz", None),
            ("a.npz:", "a.npz:", None),
            ("C:x.npy", "C:x.npy", None),
            ("a:b/c.npy", "a:b/c.npy", None),
        ] {
            let place = Place::of(Path::new(text));
            assert_eq!((place.file.as_path(), place.column.as_deref()), (Path::new(file), column));
        }
        let beside = Place::of(Path::new(":label")).beside(Path::new("a.npz:x"));
        assert_eq!(beside.file, Path::new("a.npz"));
    }

    #[test]
    fn a_name_that_exists_is_meant_as_a_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a[1]:b.npy");
        fs::write(&path, "").expect("written");
        let place = Place::of(&path);
        assert_eq!((place.files().expect("found"), place.column), (vec![path], None));
    }

    #[test]
    fn folders_and_patterns_are_in_name_order() {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["b.npy", "a.npy", "_SUCCESS", ".crc", "c.csv"] {
            fs::write(folder.path().join(name), "").expect("written");
        }
        let names = |pattern: &str| {
            let files = Place::of(&folder.path().join(pattern)).files().expect("found");
            let name = |path: &PathBuf| path.file_name().expect("a name").display().to_string();
            files.iter().map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(""), ["a.npy", "b.npy", "c.csv"]);
        assert_eq!(names("*.npy"), ["a.npy", "b.npy"]);
        assert!(Place::of(&folder.path().join("*.txt")).files().is_err());
    }
}
