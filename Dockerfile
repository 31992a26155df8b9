# The images of ringfleet. Built with `docker build .`, with the classic builder too.
#
#	docker build -t ringfleet .                                # a node
#	docker build -t ringfleet-loadtest --target loadtest .     # the load generator
#
# Both base images can be replaced; the one that runs needs no shell, no libc and a user with the number 65532:
#
#	docker build --build-arg BUILD_IMAGE=… --build-arg RUN_IMAGE=… .
#
# The binary's version is the commit, which Go reads from .git: build from a clone. A tree with changes is stamped
# as modified, and so would be one that lacks a tracked file: .dockerignore leaves out only what git ignores.
ARG BUILD_IMAGE=golang:1.26-bookworm
ARG RUN_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
# Where modules come from and what checks them; Go's defaults unless given.
ARG GOPROXY
ARG GOSUMDB
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ENV CGO_ENABLED=0
RUN go build -trimpath -buildvcs=true -ldflags "-s -w" -o /out/ ./cmd/node ./loadtest

FROM ${RUN_IMAGE} AS loadtest
COPY --from=build /out/loadtest /loadtest
USER 65532:65532
ENTRYPOINT ["/loadtest"]

# The last stage is what is built by default.
FROM ${RUN_IMAGE} AS node
COPY --from=build /out/node /node
USER 65532:65532
# Clients, operator, gossip, peers. A node listens on loopback only until its settings say otherwise.
EXPOSE 8080/tcp 9090/tcp 7946/tcp 7946/udp 7947/tcp
# It writes no files, and ends in order on SIGTERM: leave it more than --shutdown-timeout.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/node"]
