//! qmail: real callers of its interfaces (mailfront, Postfix's QMQP programs), a real gateway, a node that answers as
//! the test says.

mod a_gateway_that_is_restarted_loses_nothing;
mod mail_from_mailfront_is_judged;
mod qmqp_is_judged_and_passed_on;

use millrace_tests::ports::Port;
use millrace_tests::scripted_node::ScriptedNode;
use millrace_tests::servers::{Gateway, Upstream};
use tempfile::TempDir;

/// A gateway that conduits reach over a unix socket.
struct Conduits {
    gateway: Gateway,
    folder: TempDir,
    configuration: String,
    _port: Port,
}

impl Conduits {
    fn before(node: &ScriptedNode) -> Self {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().expect("a temp folder can be made");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
            .expect("the folder is ours");
        let socket = folder.path().join("qmail.sock");
        let port = Port::reserve();
        let configuration = format!(
            "[[conduit]]\nclient = \"qmail\"\nlisten = [\"unix://{}\", \"tcp://127.0.0.1:{}\"]\nsocket_mode = \"0666\"\n",
            socket.display(),
            port.number()
        );
        let gateway = Gateway::start_with(&nodes(node), &[], &configuration);
        Self {
            gateway,
            folder,
            configuration,
            _port: port,
        }
    }

    fn endpoint(&self) -> String {
        format!("unix://{}", self.folder.path().join("qmail.sock").display())
    }

    /// Another process in place of the one that has ended.
    fn start_again(&mut self, node: &ScriptedNode) {
        self.gateway = Gateway::start_with(&nodes(node), &[], &self.configuration);
    }
}

fn nodes(node: &ScriptedNode) -> Upstream {
    Upstream::Nodes(vec![node.port()])
}
