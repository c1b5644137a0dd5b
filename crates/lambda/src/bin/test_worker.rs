//! The worker that the tests of this crate start. The program has its own: `waybill lambda-worker`.

fn main() -> std::process::ExitCode {
    waybill_lambda::run_worker()
}
