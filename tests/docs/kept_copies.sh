# Before docs/quarantine.md is followed: a node that keeps all mail, twenty copies, and next hops for what is released.
set -euo pipefail
ip link set lo up
# Nothing of this reaches the machine.
mkdir over && mount -t tmpfs none over
for place in etc var; do
  mkdir over/$place over/$place.work
  mount -t overlay -o lowerdir=/$place,upperdir=over/$place,workdir=over/$place.work none /$place
done
mkdir -p /etc/millrace /var/lib/millrace

millrace policy default /etc/millrace/policy
cat >> /etc/millrace/policy/policy.toml <<END
[[action]]
name = "refuse-all"
do = "reject"
keep = true
END
millrace quarantine key /etc/millrace/stamp.keys
cat > node.toml <<END
policy = "/etc/millrace/policy"
[quarantine]
store = "file:///var/lib/millrace/quarantine"
serve = true
release_via = "127.0.0.1:25"
[stamp]
keys = "/etc/millrace/stamp.keys"
END
smtp-sink -u nobody 127.0.0.1:25 100 2>> sink.log &
mpd-node --config node.toml 2>> node.log &
conduit-gateway --node http://127.0.0.1:7750 --milter tcp://127.0.0.1:11332 --admin 127.0.0.1:7752 2>> gateway.log &
until curl --silent --fail http://127.0.0.1:7751/readyz && (: > /dev/tcp/127.0.0.1/11332); do sleep 0.2; done
millrace load --milter 127.0.0.1:11332 --messages 20
until [ "$(millrace quarantine list --format json | wc -l)" = 20 ]; do sleep 0.2; done
ids=($(millrace quarantine list --format json | sed 's/^{"id":"\([^"]*\)".*/\1/'))

# A next hop with a certificate.
millrace certs --out certs mx.example.com
cp certs/ca.pem /etc/millrace/ca.pem
echo 127.0.0.2 mx.example.com >> /etc/hosts
cat > mx.py <<'END'
import socket, ssl

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("certs/mx.example.com.pem", "certs/mx.example.com-key.pem")

def serve(client):
    client.sendall(b"220 mx.example.com\r\n")
    encrypted, lines = False, client.makefile("rb")
    while line := lines.readline():
        verb = line.split()[0].upper()
        if verb == b"EHLO":
            client.sendall(b"250 mx.example.com\r\n" if encrypted else b"250-mx.example.com\r\n250 STARTTLS\r\n")
        elif verb == b"STARTTLS":
            client.sendall(b"220 go on\r\n")
            client = context.wrap_socket(client, server_side=True)
            encrypted, lines = True, client.makefile("rb")
        elif verb == b"DATA":
            client.sendall(b"354 go on\r\n")
            while lines.readline() != b".\r\n":
                pass
            client.sendall(b"250 taken\r\n" if encrypted else b"554 not encrypted\r\n")
        else:
            client.sendall(b"250 ok\r\n")

server = socket.create_server(("127.0.0.2", 25))
while True:
    try:
        serve(server.accept()[0])
    except OSError:
        pass
END
python3 mx.py 2>> mx.log &
until (: > /dev/tcp/127.0.0.2/25); do sleep 0.2; done

# "Copy `entries` and `audit` to the bucket under the same names, with any program that does so": this is one.
move_to_bucket() {
  python3 -m moto.server -H 127.0.0.1 -p 5000 2>> s3.log &
  export AWS_ENDPOINT_URL=http://127.0.0.1:5000 AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=k AWS_SECRET_ACCESS_KEY=s
  until curl --silent --fail -X PUT $AWS_ENDPOINT_URL/kept; do sleep 0.2; done
  python3 - <<'END'
import pathlib, boto3
bucket = boto3.client("s3", region_name="eu-central-1")
store = pathlib.Path("/var/lib/millrace/quarantine")
for folder in ["entries", "audit"]:
    for file in (store / folder).rglob("*"):
        if file.is_file():
            bucket.put_object(Bucket="kept", Key=f"moved/{file.relative_to(store)}", Body=file.read_bytes())
END
}
