//! Ownership of tasks: every task belongs to a group, is counted, and ends with it.
//!
//! The only place on a shard that spawns. A panic ends its own task; it is counted, and the process's panic hook
//! has told about it. Not here: work that takes longer than a turn may (`blocking.rs`).

use pin_project_lite::pin_project;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Tasks that share an owner, on one shard.
#[derive(Clone)]
pub struct TaskGroup {
    state: Rc<State>,
}

struct State {
    name: &'static str,
    alive: Cell<usize>,
    panics: Cell<u64>,
    emptied: RefCell<Vec<Waker>>,
}

impl TaskGroup {
    /// An empty group.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        let state = State { name, alive: Cell::new(0), panics: Cell::new(0), emptied: RefCell::default() };
        Self { state: Rc::new(state) }
    }

    /// Runs `work` on this shard until it ends, or until the shard does.
    #[expect(clippy::disallowed_methods, reason = "the one place that spawns on a shard")]
    pub fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(Belonging { work, _member: Member::new(&self.state) }));
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.state.alive.get()
    }

    /// Tasks that ended by a panic.
    #[must_use]
    pub fn panics(&self) -> u64 {
        self.state.panics.get()
    }

    /// Name of the group, for logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.state.name
    }

    /// Waits until every task has ended. Cancel safety: nothing is lost when dropped.
    pub async fn drained(&self) {
        poll_fn(|cx| {
            if self.state.alive.get() == 0 {
                return Poll::Ready(());
            }
            self.state.emptied.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

pin_project! {
    /// A task and its place in the group. An async block would hold the task twice over: as what it was given, and as
    /// what it waits for.
    struct Belonging<F> {
        #[pin]
        work: F,
        _member: Member,
    }
}

impl<F: Future<Output = ()>> Future for Belonging<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.project().work.poll(cx)
    }
}

struct Member(Rc<State>);

impl Member {
    fn new(state: &Rc<State>) -> Self {
        state.alive.set(state.alive.get() + 1);
        Self(Rc::clone(state))
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.panics.set(self.0.panics.get() + 1);
        }
        self.0.alive.set(self.0.alive.get() - 1);
        if self.0.alive.get() == 0 {
            for waker in self.0.emptied.borrow_mut().drain(..) {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::shard::Shard;

    #[test]
    fn a_group_knows_when_its_last_task_has_ended() {
        Shard::test(async |shard| {
            let group = super::TaskGroup::new("test");
            let (done, wait) = tokio::sync::oneshot::channel::<()>();
            group.spawn(async move { drop(wait.await) });
            group.spawn(async {});
            assert_eq!(group.alive(), 2);
            assert!(done.send(()).is_ok());
            group.drained().await;
            assert_eq!((group.alive(), shard.id()), (0, 0));
        });
    }

    #[test]
    fn a_panic_ends_its_own_task_and_is_counted() {
        Shard::test(async |_shard| {
            let group = super::TaskGroup::new("test");
            group.spawn(async { panic!("on purpose") });
            group.drained().await;
            assert_eq!(group.panics(), 1);
        });
    }
}
