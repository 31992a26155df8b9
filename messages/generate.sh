#!/usr/bin/env bash
# messages/generate.sh: checks the schemas and generates the Go code. `go generate ./messages` runs it.
#
#  1. lints the schemas by the rules of buf.yaml;
#  2. compares each protocol with its image, testdata/client.binpb, testdata/peer.binpb and testdata/api.binpb, which
#     holds all that was ever part of it, and refuses a change that would break a client in the field, a node of the
#     version before, or a back end;
#  3. generates clientpb, peerpb, apipb and apipb/apipbconnect;
#  4. writes the images anew, with what was added.
#
# So the images only grow. Before a first release a break may be wanted: remove the image, then run this.
# buf is pinned in tools/go.mod and built once (scripts/tool); the plugins are built from the versions of
# google.golang.org/protobuf and connectrpc.com/connect that go.mod requires. Nothing is fetched at run time but Go
# modules.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT

scripts/tool buf lint messages
for protocol in client peer api; do
  image=messages/testdata/$protocol.binpb
  scripts/tool buf build messages --path "messages/proto/ringfleet/$protocol" --exclude-source-info -o "$new/$protocol.binpb"
  if [ -f "$image" ]; then
    scripts/tool buf breaking "$new/$protocol.binpb" --against "$image" --config messages/buf.yaml
  fi
done
scripts/tool buf generate messages --template messages/buf.gen.yaml
cp "$new/client.binpb" "$new/peer.binpb" "$new/api.binpb" messages/testdata/
