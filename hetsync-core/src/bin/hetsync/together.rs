//! Several futures at once, and an end with the first that fails.

use std::task::Poll;

use crate::Failure;

/// Waits for all of them, or for the first that fails, whichever it is.
pub(crate) async fn together<T, F: Future<Output = Result<T, Failure>>>(
    futures: Vec<F>,
) -> Result<Vec<T>, Failure> {
    let mut running: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        for (future, done) in running.iter_mut().zip(&mut done) {
            if done.is_none()
                && let Poll::Ready(result) = future.as_mut().poll(cx)
            {
                *done = Some(result?);
            }
        }
        match done.iter().all(Option::is_some) {
            true => Poll::Ready(Ok(done.drain(..).flatten().collect())),
            false => Poll::Pending,
        }
    })
    .await
}
