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

# real HubSpot clients through the release binary: all, or some of node, python, curl, postman and mcp
clients *SUITES: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/clients/run {{ SUITES }}

# hostile pages, the login and the dashboard in a real Chromium: all, or some of hostile, login, dashboard, ...
browser *SUITES: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/browser/run {{ SUITES }}

# the dashboard while 10,000 requests a second flow; needs wrk, nginx and a quiet machine
dashboard-load: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/browser/run dashboard_load

# the metrics and alert rules in a real Prometheus; needs Debian's `prometheus`
prometheus: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/prometheus/run

# units, scripts, manual pages, Debian package and Dockerfile: all, or some of units, scripts, man, deb and image
packaging *SUITES: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/packaging/run {{ SUITES }}

# the Debian package, of the optimised binary for packages; needs cargo-deb
deb:
    packaging/deb/build

# latency beside 500 slow clients; needs slowhttptest
slow: release
    HUBSPOT_PROXY_BIN={{ target }}/release/hubspot-proxy tests/slow/run

# what the proxy costs, beside nginx and others doing the same job; needs nginx, wrk, h2load and openssl
bench *ARGS:
    bench/run {{ ARGS }}

# fails when it costs more than 15 % more than recorded
bench-check:
    bench/check

# instructions of a request, by crate and by function; needs valgrind
profile *ARGS:
    bench/profile/run {{ ARGS }}

# everything, in the order of CI
all: fmt-check lint deny test first-steps clients browser

target := env("CARGO_TARGET_DIR", "target")
