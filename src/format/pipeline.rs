//! Work in threads, results in order: what the writers of file systems stream through.
//!
//! Memory is bounded: a fixed number of jobs is under way, and what one result was kept in serves a later one. What
//! `consume` sees depends on the jobs alone, not on the number of threads or who is faster.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Jobs under way for each worker: one that it works on, and one that waits, so that it never does.
const JOBS_PER_WORKER: usize = 2;

/// A job on its way to a worker, with room for its result.
type Task<J, R> = (u64, J, R);

/// Runs `work` on each of `jobs` in `workers` threads and hands the results to `consume`, in the order of the jobs.
///
/// `consume` runs on the calling thread. Each worker makes its own `scratch` and keeps it for all its jobs. A result
/// is handed to `work` again for a later job, as it was left, so that its buffers are used again.
///
/// # Errors
/// What `consume` returns; no further job is then begun.
pub fn in_order<J, R, S, E>(
    workers: NonZeroUsize,
    jobs: impl Iterator<Item = J>,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, J, &mut R) + Sync,
    mut consume: impl FnMut(&mut R) -> Result<(), E>,
) -> Result<(), E>
where
    J: Send,
    R: Default + Send,
{
    let (task_sender, task_receiver) = mpsc::channel();
    let (result_sender, result_receiver) = mpsc::channel();
    let task_receiver = Mutex::new(task_receiver);
    let (scratch, work, task_receiver) = (&scratch, &work, &task_receiver);
    thread::scope(|scope| {
        let mut started = 0;
        for _ in 0..workers.get() {
            let result_sender = result_sender.clone();
            let worker = move || run_worker(scratch, work, task_receiver, &result_sender);
            // Where no more threads can be had, those that there are do the work.
            started += usize::from(
                thread::Builder::new()
                    .name("format".to_owned())
                    .spawn_scoped(scope, worker)
                    .is_ok(),
            );
        }
        drop(result_sender);
        if started == 0 {
            let (mut own_scratch, mut result) = (scratch(), R::default());
            return jobs.into_iter().try_for_each(|job| {
                work(&mut own_scratch, job, &mut result);
                consume(&mut result)
            });
        }
        // Dropping the sender at the end of this block is what ends the workers.
        let window = Window {
            tasks: task_sender,
            results: result_receiver,
            limit: started * JOBS_PER_WORKER + 1,
        };
        window.run(jobs, &mut consume)
    })
}

/// The calling thread's end of the channels.
struct Window<J, R> {
    tasks: Sender<Task<J, R>>,
    results: Receiver<Option<(u64, R)>>,
    /// How many jobs may be under way or wait for their turn.
    limit: usize,
}

impl<J, R: Default> Window<J, R> {
    fn run<E>(
        self,
        mut jobs: impl Iterator<Item = J>,
        consume: &mut impl FnMut(&mut R) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut early: BTreeMap<u64, R> = BTreeMap::new();
        let mut unused: Vec<R> = Vec::new();
        let (mut sent, mut consumed) = (0, 0);
        let mut has_more = true;
        loop {
            while has_more && sent - consumed < self.limit as u64 {
                let Some(job) = jobs.next() else {
                    has_more = false;
                    break;
                };
                let task = (sent, job, unused.pop().unwrap_or_default());
                if self.tasks.send(task).is_err() {
                    return Ok(());
                }
                sent += 1;
            }
            if consumed == sent {
                return Ok(());
            }
            // Without an answer a worker has panicked, which the end of the scope passes on.
            let Ok(Some((number, result))) = self.results.recv() else {
                return Ok(());
            };
            early.insert(number, result);
            while let Some(mut result) = early.remove(&consumed) {
                consume(&mut result)?;
                consumed += 1;
                unused.push(result);
            }
        }
    }
}

fn run_worker<J, R, S>(
    scratch: impl Fn() -> S,
    work: impl Fn(&mut S, J, &mut R),
    tasks: &Mutex<Receiver<Task<J, R>>>,
    results: &Sender<Option<(u64, R)>>,
) {
    let farewell = Farewell { results };
    let mut scratch = scratch();
    loop {
        let task = tasks.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((number, job, mut result)) = task else {
            break;
        };
        work(&mut scratch, job, &mut result);
        if results.send(Some((number, result))).is_err() {
            break;
        }
    }
    drop(farewell);
}

/// Tells the calling thread when a worker panics: it would wait for that job's result for ever.
struct Farewell<'a, R> {
    results: &'a Sender<Option<(u64, R)>>,
}

impl<R> Drop for Farewell<'_, R> {
    fn drop(&mut self) {
        if thread::panicking() {
            // The calling thread may be gone already, and then nobody waits.
            let _ = self.results.send(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::num::NonZeroUsize;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::in_order;

    fn workers(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        for count in [1, 2, 8] {
            let mut found = Vec::new();
            let outcome: Result<(), Infallible> = in_order(
                workers(count),
                0..200_u64,
                || (),
                |(), job, result: &mut u64| {
                    // Every seventh is slow, so that others overtake it.
                    std::thread::sleep(Duration::from_micros(if job % 7 == 0 { 300 } else { 0 }));
                    *result = job * 2;
                },
                |result| {
                    found.push(*result);
                    Ok(())
                },
            );
            assert!(outcome.is_ok());
            assert_eq!(found, (0..200).map(|job| job * 2).collect::<Vec<_>>());
        }
    }

    #[test]
    fn results_are_used_again_and_few_are_made() {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        struct Counted(Vec<u8>);
        impl Default for Counted {
            fn default() -> Self {
                MADE.fetch_add(1, Ordering::Relaxed);
                Self(Vec::new())
            }
        }
        let outcome: Result<(), Infallible> = in_order(
            workers(2),
            0..1000,
            || (),
            |(), _, result: &mut Counted| result.0.push(0),
            |_| Ok(()),
        );
        assert!(outcome.is_ok());
        assert!(MADE.load(Ordering::Relaxed) <= 5);
    }

    #[test]
    fn an_error_ends_the_work() {
        let begun = AtomicUsize::new(0);
        let outcome = in_order(
            workers(2),
            0..1_000_000,
            || (),
            |(), job, result: &mut i32| {
                begun.fetch_add(1, Ordering::Relaxed);
                *result = job;
            },
            |result| if *result == 10 { Err(*result) } else { Ok(()) },
        );
        assert_eq!(outcome, Err(10));
        assert!(begun.load(Ordering::Relaxed) <= 16);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_of_a_worker_is_passed_on() {
        let _: Result<(), Infallible> = in_order(
            workers(2),
            0..100,
            || (),
            |(), job, _: &mut ()| assert!(job != 50, "job 50"),
            |()| Ok(()),
        );
    }

    #[test]
    fn no_jobs_are_no_work() {
        let outcome: Result<(), Infallible> = in_order(
            workers(3),
            std::iter::empty::<u8>(),
            || (),
            |(), _, _: &mut ()| {},
            |()| panic!("there is no result"),
        );
        assert!(outcome.is_ok());
    }
}
