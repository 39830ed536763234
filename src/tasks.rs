//! Tasks on the heap, which are all of one type to the runtime.
//!
//! A runtime has code of its own for every type of task, some two kilobytes each. Sessions have their type,
//! because there may be a hundred thousand of them; what runs once needs none.

use futures_util::FutureExt as _;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// Starts a task beside this one.
pub fn spawn<T: Send + 'static>(task: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(task.boxed())
}

/// Starts a task that `tracker` knows of.
pub fn spawn_on(tracker: &TaskTracker, task: impl Future<Output = ()> + Send + 'static) {
    tracker.spawn(task.boxed());
}
