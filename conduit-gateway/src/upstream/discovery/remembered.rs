//! The nodes that etcd told last, in a file: so that a gateway that starts while etcd is down has somebody to ask.
//!
//! One address a line, in `nodes` in the folder of `[etcd] cache`, beside a node's copy of the policy where both have
//! the same folder. What stands there is a hint, as all that a source tells: what does not serve is not asked, and is
//! forgotten as soon as etcd answers.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use tokio::task::spawn_blocking;

use super::{NodeAddress, SourceProblem};

/// The file.
#[derive(Debug)]
pub(super) struct Remembered {
    file: PathBuf,
    nodes: Vec<NodeAddress>,
}

impl Remembered {
    /// What the file in this folder holds; the folder is made if it is not there.
    ///
    /// # Errors
    /// Nothing can be written there: said at the start, and not when etcd is down.
    pub(super) fn open(folder: &Path) -> Result<Self, SourceProblem> {
        let opened = std::fs::create_dir_all(folder).and_then(|()| NamedTempFile::new_in(folder));
        opened.map_err(|error| {
            SourceProblem(format!(
                "key `etcd.cache`: {} cannot be written: {error}",
                folder.display()
            ))
        })?;
        let file = folder.join("nodes");
        let nodes = match std::fs::read_to_string(&file) {
            Ok(text) => read(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "the nodes that were known last cannot be read");
                Vec::new()
            }
        };
        Ok(Self { file, nodes })
    }

    /// The nodes that were known last.
    pub(super) fn nodes(&self) -> Vec<NodeAddress> {
        self.nodes.clone()
    }

    /// Writes down which nodes are known now. An empty set is no reason to forget, and a file that cannot be written
    /// none to stop.
    pub(super) async fn keep(&mut self, nodes: Vec<NodeAddress>) {
        if nodes.is_empty() || nodes == self.nodes {
            return;
        }
        let text: String = nodes.iter().map(|node| format!("{node}\n")).collect();
        let file = self.file.clone();
        let written = spawn_blocking(move || write(&file, &text)).await;
        match written.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => self.nodes = nodes,
            Err(error) => {
                tracing::warn!(file = %self.file.display(), %error, "the known nodes are not written down");
            }
        }
    }
}

fn read(text: &str) -> Vec<NodeAddress> {
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// The file is there whole, or as it was.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut beside = NamedTempFile::new_in(folder)?;
    beside.write_all(text.as_bytes())?;
    beside.as_file().sync_all()?;
    beside.persist(file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(hosts: &[&str]) -> Vec<NodeAddress> {
        hosts
            .iter()
            .map(|host| format!("http://{host}:7750").parse().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn what_was_known_last_is_known_again_and_nothing_is_no_news() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("made/for/it");
        let mut memory = Remembered::open(&cache).unwrap();
        assert!(memory.nodes().is_empty());
        memory.keep(nodes(&["a", "b"])).await;
        memory.keep(nodes(&["b", "c"])).await;
        memory.keep(Vec::new()).await;
        let again = Remembered::open(&cache).unwrap();
        assert_eq!(again.nodes(), nodes(&["b", "c"]));
        assert_eq!(std::fs::read_dir(&cache).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_broken_file_costs_its_lines_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("nodes"), b"http://a:7750\n?\n").unwrap();
        let mut memory = Remembered::open(folder.path()).unwrap();
        assert_eq!(memory.nodes(), nodes(&["a"]));
        std::fs::write(folder.path().join("nodes"), b"\xff\n").unwrap();
        assert!(Remembered::open(folder.path()).unwrap().nodes().is_empty());
        memory.keep(nodes(&["b"])).await;
        assert_eq!(
            Remembered::open(folder.path()).unwrap().nodes(),
            nodes(&["b"])
        );
    }

    #[test]
    fn a_folder_that_is_none_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let problem = Remembered::open(&file).unwrap_err().to_string();
        assert!(problem.starts_with("key `etcd.cache`: "), "{problem}");
    }
}
