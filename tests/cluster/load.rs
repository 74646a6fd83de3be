//! `millrace load` in the background.

use std::process::{Child, Command, Stdio};

use millrace_tests::servers::binary;

/// Mail servers that send; killed when dropped.
pub(crate) struct Load {
    child: Child,
    messages: usize,
}

impl Load {
    /// Begins to send so many messages in so many sessions at a time.
    pub(crate) fn begin(port: u16, messages: usize, concurrency: usize) -> Self {
        let child = Command::new(binary("millrace"))
            .args(["load", "--format", "json", "--milter"])
            .arg(format!("inet:{port}@127.0.0.1"))
            .args(["--messages", &messages.to_string()])
            .args(["--concurrency", &concurrency.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("millrace starts");
        Self { child, messages }
    }

    /// Waits for the end; every message must have been answered, and accepted.
    #[track_caller]
    pub(crate) fn all_accepted(mut self) {
        let output = self.child.stdout.take().expect("it is piped");
        let report: serde_json::Value =
            serde_json::from_reader(output).expect("the report is JSON");
        let messages = serde_json::json!(self.messages);
        assert_eq!(report["messages"], messages, "{report}");
        assert_eq!(report["errors"], serde_json::json!({}), "{report}");
        let accepted = serde_json::json!({ "accept": self.messages });
        assert_eq!(report["dispositions"], accepted, "{report}");
        let marked = serde_json::json!({ "insert-header": self.messages });
        assert_eq!(report["edits"], marked, "none passed unjudged: {report}");
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
