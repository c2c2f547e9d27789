# The recipes that CI runs, one by one. `just` alone lists them.

[private]
default:
    @{{ just_executable() }} --list

# formatting
fmt-check:
    cargo fmt --check

# lints, with warnings denied
lint:
    cargo clippy --locked --all-targets -- -D warnings

# what may enter the dependency tree
deny:
    cargo deny check bans licenses sources

# the tests that need nothing but Rust and a C compiler
test:
    cargo test --locked

# the optimised binary
release:
    cargo build --locked --release

# every command and link of README.md and docs/
docs:
    cargo test --locked --test docs

# a new user's first minutes, from a clone of the last commit to a logout: its transcript
first-steps *ARGS:
    tests/first-steps/run {{ ARGS }}

# real HubSpot clients through the release binary: all, or some of node, python and curl
clients *SUITES: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/clients/run {{ SUITES }}

# hostile pages and the login in a real Chromium: all, or hostile, or login
browser *SUITES: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/browser/run {{ SUITES }}

# the metrics and alert rules in a real Prometheus; needs Debian's `prometheus`
prometheus: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/prometheus/run

# latency beside 500 slow clients; needs slowhttptest
slow: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/slow/run

# CPU and throughput beside nginx doing the same job; needs nginx, wrk and openssl
bench *ARGS: release
    bench/nginx-compare --proxy {{ target }}/release/hubspot-proxy {{ ARGS }}

# everything, in the order of CI
all: fmt-check lint deny test first-steps clients browser

target := env("CARGO_TARGET_DIR", "target")
