# Lists the recipes.
default:
    @just --list --unsorted

# Formatting, lints and documentation.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

# Everything that is tested, with what it needs.
test:
    ./test

# Tells the story of one simulated world.
simulate SEED:
    SIM_SEED={{SEED}} cargo test --profile sim --package engine --test simulate -- --nocapture

# The simulator against known bugs: each must be found.
planted:
    RUSTC_WORKSPACE_WRAPPER="$PWD/.ci/rustc-planted" cargo test --profile sim --package engine --test simulate -- planted_bug failing_seed

# A whole mission in a disposable project, without a model.
demo:
    cargo run -p orchestrator -- demo

# Figures of this machine; they test nothing.
bench:
    cargo bench --package orchestrator --bench figures
    cargo bench --package journal --bench appends

# Licences, banned crates and sources; works without a network.
deny:
    cargo deny --locked check licenses bans sources

# Writes docs/guide/cli.md anew from the program's own help.
cli:
    ORCHESTRATOR_REFRESH=1 cargo test --package orchestrator --test tidy

# What npm installs, for this machine's kind: the plugin and the program, in target/packages.
pack:
    ./pack
