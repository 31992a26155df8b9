#!/usr/bin/env bash
# messages/generate.sh: checks the schemas and generates the Go code. `go generate ./messages` runs it.
#
#  1. lints the schemas by the rules of buf.yaml;
#  2. compares the client protocol with testdata/client.binpb, the image of all that was ever part of it,
#     and refuses a change that would break a client in the field, on the wire or in JSON;
#  3. generates clientpb;
#  4. writes the image anew, with what was added.
#
# So the image only grows. Before a first release a break may be wanted: remove the image, then run this.
# buf is pinned in tools/go.mod and built once (scripts/tool); the plugin is built from the version of
# google.golang.org/protobuf that go.mod requires. Nothing is fetched at run time but Go modules.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

image=messages/testdata/client.binpb
new=$(mktemp --suffix=.binpb)
trap 'rm -f "$new"' EXIT

scripts/tool buf lint messages
scripts/tool buf build messages --path messages/proto/ringfleet/client --exclude-source-info -o "$new"
if [ -f "$image" ]; then
  scripts/tool buf breaking "$new" --against "$image" --config messages/buf.yaml
fi
scripts/tool buf generate messages --template messages/buf.gen.yaml
cat "$new" >"$image" # not cp: mktemp made the file for its owner only
