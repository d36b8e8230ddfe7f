//! The deadline of a request: it is answered before Lambda ends the invocation.

use std::time::Duration;

use lambda_http::{Request, RequestExt as _};

use super::problem::Problem;
use super::response::Success;
use crate::platform::clock::Clock;
use crate::platform::deadline::Deadline;

/// Time for the response.
const RESPONSE_TIME: Duration = Duration::from_millis(300);

/// The invocation has no time left.
#[derive(Debug, thiserror::Error)]
#[error("the time of the invocation is over")]
struct OutOfTime;

/// The deadline of the invocation that carries `request`.
#[must_use]
pub fn deadline_of(request: &Request, clock: &Clock) -> Deadline {
    match request.lambda_context_ref() {
        Some(context) => Deadline::of_invocation(context.deadline, clock),
        None => Deadline::default(),
    }
}

/// The result of `answer`, or 503 shortly before `deadline`.
///
/// # Errors
/// That of `answer`, or 503.
pub fn answer_in_time<E: From<Problem>>(
    deadline: Deadline,
    answer: impl Future<Output = Result<Success, E>>,
) -> impl Future<Output = Result<Success, E>> {
    // On the heap, so that it is moved once: a send is 25 KB.
    let answer = Box::pin(answer);
    async move {
        let until = deadline.earlier_by(RESPONSE_TIME).instant();
        match tokio::time::timeout_at(until, answer).await {
            Ok(result) => result,
            Err(_) => Err(Problem::unavailable(&OutOfTime).into()),
        }
    }
}
