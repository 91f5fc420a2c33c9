//! A program that is nothing but the guard. The tests start their processes through it, as the engine starts its own
//! through `orchestrator __guard`.

fn main() -> std::process::ExitCode {
    workbench::guard::main(std::env::args_os())
}
