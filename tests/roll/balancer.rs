//! Real load balancers that know nothing of gRPC: they spread connections.

use std::fs;

use millrace_tests::packages::program;
use millrace_tests::ports::Port;
use millrace_tests::process::Process;
use tempfile::TempDir;

/// A balancer before two nodes at ports of 127.0.0.1.
pub(crate) struct Balancer {
    _process: Process,
    listen: Port,
    _folder: TempDir,
}

impl Balancer {
    /// HAProxy in TCP mode, which looks whether ports are open.
    pub(crate) fn haproxy(nodes: [u16; 2]) -> Self {
        Self::start("haproxy", |port, _| {
            format!(
                "defaults\n  mode tcp\n  timeout connect 2s\n  timeout client 600s\n  timeout server 600s\n\
                 listen nodes\n  bind 127.0.0.1:{port}\n  balance roundrobin\n  option redispatch 1\n  retries 3\n\
                 \x20 server one 127.0.0.1:{} check inter 200ms\n  server two 127.0.0.1:{} check inter 200ms\n",
                nodes[0], nodes[1]
            )
        })
    }

    /// nginx's stream module, which passes by ports that are closed.
    pub(crate) fn nginx(nodes: [u16; 2]) -> Self {
        Self::start("nginx", |port, folder| {
            format!(
                "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nmaster_process off;\n\
                 pid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n\
                 stream {{\n  upstream nodes {{\n    server 127.0.0.1:{} fail_timeout=1s;\n    \
                 server 127.0.0.1:{} fail_timeout=1s;\n  }}\n  \
                 server {{ listen 127.0.0.1:{port}; proxy_pass nodes; }}\n}}\n",
                nodes[0], nodes[1]
            )
        })
    }

    fn start(name: &str, configure: impl FnOnce(u16, &str) -> String) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("balancer-")
            .tempdir()
            .expect("a temp folder can be made");
        let listen = Port::reserve();
        let file = folder.path().join("balancer.conf");
        let text = configure(listen.number(), &folder.path().display().to_string());
        fs::write(&file, text).expect("the temp folder is ours");
        let flags: &[&str] = match name {
            "haproxy" => &["-db", "-f"],
            _ => &["-e", "stderr", "-c"],
        };
        let mut process = Process::start_with(name, folder.path(), &program(name), |command| {
            command.args(flags).arg(&file);
        });
        process.wait_for_port(listen.number());
        Self {
            _process: process,
            listen,
            _folder: folder,
        }
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.listen.number()
    }
}
