"""A private Postfix with one SMTP port for each filter; what it takes, it throws away."""

import grp
import os
import pwd
import socket
import subprocess
import sys
import time

DAEMONS = "/usr/lib/postfix/sbin"

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
daemon_directory = {daemons}
command_directory = /usr/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/mail.log
maillog_file_prefixes = {folder}
myhostname = mx.test.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
local_recipient_maps =
default_transport = discard
relay_transport = discard
local_transport = discard
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
in_flow_delay = 0
milter_default_action = tempfail
milter_protocol = 6
"""

MASTER = """\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    def __init__(self, folder, milters):
        """`milters`: the spelling of each filter in smtpd_milters, by its name."""
        if os.geteuid() != 0:
            sys.exit("a Postfix of our own needs root; leave it out with --parts idle load")
        self.folder = folder / "postfix"
        self.ports = {}
        master = MASTER
        for name, milter in milters.items():
            self.ports[name] = free_port()
            # One smtpd, so that the session's process is there already; cleanup gets its milters from smtpd.
            master += f"127.0.0.1:{self.ports[name]} inet n - n - 1 smtpd\n  -o smtpd_milters={milter}\n"
        self.prepare(master)
        config = self.folder / "config"
        self.process = subprocess.Popen([f"{DAEMONS}/master", "-d", "-c", str(config)], start_new_session=True)
        for port in self.ports.values():
            self.wait(port)

    def prepare(self, master):
        owner, drop = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
        os.chmod(self.folder.parent, 0o755)
        self.folder.mkdir(mode=0o755)
        for name in ["config", "queue", "data", "queue/pid"]:
            (self.folder / name).mkdir(mode=0o755)
        os.chown(self.folder / "data", owner, -1)
        private = ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "saved", "trace"]
        for name in [*private, "private"]:
            (self.folder / "queue" / name).mkdir(mode=0o700)
            os.chown(self.folder / "queue" / name, owner, -1)
        for name, mode in [("maildrop", 0o730), ("public", 0o710)]:
            path = self.folder / "queue" / name
            path.mkdir()
            os.chown(path, owner, drop)
            os.chmod(path, mode)
        config = self.folder / "config"
        (config / "main.cf").write_text(MAIN.format(folder=self.folder, daemons=DAEMONS))
        (config / "master.cf").write_text(master)

    def wait(self, port):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.1)
        sys.exit(f"Postfix does not start:\n{(self.folder / 'mail.log').read_text()}")

    def rate(self, name, messages):
        """Messages a second over one SMTP session."""
        port = self.ports[name]
        command = ["smtp-source", "-d", "-s", "1", "-m", str(messages), "-l", "4096"]
        command += ["-f", "sender@example.org", "-t", "recipient@example.net", f"inet:127.0.0.1:{port}"]
        begun = time.monotonic()
        subprocess.run(command, check=True)
        return messages / (time.monotonic() - begun)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
