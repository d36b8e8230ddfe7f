//! The binary `lambda-otp`.

use std::num::NonZero;
use std::process::ExitCode;
use std::thread::available_parallelism;

use tokio::runtime::Builder;

fn main() -> ExitCode {
    // The embedded engine has a thread of its own; the handlers share the other processors.
    let processors = available_parallelism().map_or(1, NonZero::get);
    let runtime = Builder::new_multi_thread()
        .worker_threads(processors.saturating_sub(1).max(1))
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(local::cli::run()),
        Err(error) => {
            eprintln!("the threads of the server do not start: {error}");
            ExitCode::FAILURE
        }
    }
}
