# The proxy in a container: docs/operations.md has the commands and a compose file.
#
# The build needs the official images of Rust and Debian, Debian's packages and the crates registry, and nothing else.

# The version is that of rust-toolchain.toml, which is left out: rustup would fetch what no build needs.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
# Not built: Cargo.toml names them, and cargo wants to see what it names.
COPY benches benches
COPY migrations migrations
COPY src src
# The caches outlive a build, the program is taken out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --release \
    && cp target/release/hubspot-proxy /usr/local/bin/

FROM debian:bookworm-slim
# Certificates get no better by being held back at a version.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*
# A number that no user of a usual machine has. The store and its key lie in folders of their own, so
# that they can be kept, and backed up, apart.
RUN useradd --uid 28787 --user-group --no-create-home --home-dir /var/lib/hubspot-proxy \
        --shell /usr/sbin/nologin hubspot-proxy \
    && install --directory --owner hubspot-proxy --group hubspot-proxy --mode 0700 \
        /var/lib/hubspot-proxy /var/lib/hubspot-proxy-key
COPY packaging/docker/proxy.toml /etc/hubspot-proxy/proxy.toml
COPY LICENSE LICENSE-APACHE LICENSE-MIT /usr/share/doc/hubspot-proxy/
COPY --from=build /usr/local/bin/hubspot-proxy /usr/local/bin/

# Its folders are /etc/hubspot-proxy and /var/lib/hubspot-proxy.
ENV XDG_CONFIG_HOME=/etc XDG_STATE_HOME=/var/lib
USER 28787:28787
WORKDIR /var/lib/hubspot-proxy
VOLUME ["/var/lib/hubspot-proxy", "/var/lib/hubspot-proxy-key"]
EXPOSE 8787
HEALTHCHECK --interval=30s --timeout=5s --start-period=5s CMD ["hubspot-proxy", "status", "--json"]
ENTRYPOINT ["hubspot-proxy"]
CMD ["serve"]
