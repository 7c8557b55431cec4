//! The one way to write. In SQLite a single connection writes, and what waits while one transaction syncs goes
//! into the next one together: a thousand people who join at once cost a few syncs, not a thousand.
//! PostgreSQL does the same by itself, so there each write is a transaction of the pool.

use crate::error::Error;
use sqlx::{AnyConnection, AnyPool, Connection};
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What a piece of work leaves behind.
pub(crate) enum Work<T> {
    /// Keep what it wrote.
    Done(T),
    /// It refuses: take back what it wrote.
    Undone(T),
}

pub(crate) type Working<'c, T> = Pin<Box<dyn Future<Output = Result<Work<T>, Error>> + Send + 'c>>;

/// Where writes go.
#[derive(Clone, Debug)]
pub(crate) enum Writer {
    /// To the task that has the only writing connection.
    Grouped(mpsc::Sender<Job>),
    /// To any connection.
    Pool(AnyPool),
}

/// Work on its way to the writing task. Run alone, or inside the group's transaction, it gives a reply, to be sent when
/// the group's fate is known.
pub(crate) type Job = Box<dyn for<'c> FnOnce(&'c mut AnyConnection, Begin) -> Running<'c> + Send>;
type Running<'c> = Pin<Box<dyn Future<Output = Reply> + Send + 'c>>;
type Reply = Box<dyn FnOnce(Result<(), String>) + Send>;

/// How work becomes whole or nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    /// By a transaction of its own, or a savepoint inside a group's.
    Nested,
    /// By a transaction of its own that has the file's lock.
    Locked,
}

impl Writer {
    /// Starts the writing task on a pool of one connection; it ends when nobody can write any more.
    pub(crate) fn grouped(only: AnyPool) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_WRITES);
        tokio::spawn(write_in_groups(only, waiting));
        Self::Grouped(jobs)
    }

    /// Does the work, whole or not at all, and says what came of it when it is on disk.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut AnyConnection) -> Working<'c, T> + Send + 'static,
    {
        match self {
            Self::Pool(pool) => {
                whole_or_not(&mut *pool.acquire().await?, Begin::Nested, work).await
            }
            Self::Grouped(jobs) => {
                let (reply, answer) = oneshot::channel();
                let job: Job = Box::new(move |connection, begin| {
                    Box::pin(async move {
                        let result = whole_or_not(connection, begin, work).await;
                        let reply: Reply = Box::new(move |fate| {
                            // Who asked may be gone; what was written stays.
                            reply.send(fate.map_err(Error::Group).and(result)).ok();
                        });
                        reply
                    })
                });
                let admitted = tokio::time::timeout(ADMISSION_TIMEOUT, jobs.send(job)).await;
                let is_admitted = matches!(admitted, Ok(Ok(())));
                let lost = |why: &str| Error::Group(why.to_owned());
                if !is_admitted {
                    return Err(lost("too many writes wait"));
                }
                answer.await.unwrap_or_else(|_| Err(lost("the writing task broke off")))
            }
        }
    }
}

/// Writes in line. More only wait longer; fewer would refuse a crowd that one group could take.
const WAITING_WRITES: usize = 1_024;
/// Writes in one transaction. More keep the first of them waiting, fewer need more syncs.
const WRITES_IN_GROUP: usize = 128;
/// Longer keeps people waiting for an error they will get anyway; shorter fails at the first slow disk.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(8);

async fn write_in_groups(only: AnyPool, mut waiting: mpsc::Receiver<Job>) {
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, WRITES_IN_GROUP).await > 0 {
        // In a task of its own, so that a bug in one piece of work fails its group and not the store.
        let writing = tokio::spawn(write_group(only.clone(), std::mem::take(&mut group)));
        if let Err(error) = writing.await {
            tracing::error!(%error, "writing broke off");
        }
    }
}

async fn write_group(only: AnyPool, group: Vec<Job>) {
    let mut replies = Vec::with_capacity(group.len());
    let fate = settle(&only, group, &mut replies).await.map_err(|error| error.to_string());
    for reply in replies {
        reply(fate.clone());
    }
}

async fn settle(
    only: &AnyPool,
    mut group: Vec<Job>,
    replies: &mut Vec<Reply>,
) -> Result<(), sqlx::Error> {
    // Each statement is a way to the connection's thread and back: who is alone needs no savepoint in a transaction.
    if group.len() == 1
        && let Some(alone) = group.pop()
    {
        replies.push(alone(&mut *only.acquire().await?, Begin::Locked).await);
        return Ok(());
    }
    let mut transaction = only.begin_with(LOCKED).await?;
    for job in group {
        replies.push(job(&mut transaction, Begin::Nested).await);
    }
    transaction.commit().await
}

/// The lock at once: a transaction that reads first and writes later fails when another process wrote.
const LOCKED: &str = "BEGIN IMMEDIATE";

/// Runs work in a transaction, or in a savepoint where there is one already.
async fn whole_or_not<T, F>(
    connection: &mut AnyConnection,
    begin: Begin,
    work: F,
) -> Result<T, Error>
where
    F: for<'c> FnOnce(&'c mut AnyConnection) -> Working<'c, T>,
{
    let mut transaction = match begin {
        Begin::Nested => connection.begin().await?,
        Begin::Locked => connection.begin_with(LOCKED).await?,
    };
    match work(&mut transaction).await {
        Ok(Work::Done(value)) => {
            transaction.commit().await?;
            Ok(value)
        }
        Ok(Work::Undone(value)) => {
            transaction.rollback().await?;
            Ok(value)
        }
        Err(error) => {
            transaction.rollback().await?;
            Err(error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::testing::TestDatabase;

    fn reach(
        name: &'static str,
        then: fn() -> Result<Work<bool>, Error>,
    ) -> impl for<'c> FnOnce(&'c mut AnyConnection) -> Working<'c, bool> + Send + 'static {
        move |connection| {
            Box::pin(async move {
                sqlx::query("INSERT INTO milestones (name, reached_ms) VALUES ($1, 0)")
                    .bind(name)
                    .execute(connection)
                    .await?;
                then()
            })
        }
    }

    async fn reached(store: &Store) -> Vec<String> {
        let rows = sqlx::query("SELECT name FROM milestones ORDER BY name")
            .fetch_all(&store.reader)
            .await
            .expect("reads");
        rows.iter().map(|row| crate::row::text(row, "name").expect("a name")).collect()
    }

    #[tokio::test]
    async fn work_that_refuses_or_fails_leaves_nothing_and_harms_no_other() {
        for database in TestDatabase::all().await {
            let writer = &database.store.writer;
            let (done, undone, failed, twice, late) = tokio::join!(
                writer.write(reach("a", || Ok(Work::Done(true)))),
                writer.write(reach("b", || Ok(Work::Undone(false)))),
                writer.write(reach("c", || Err(Error::Corrupt("on purpose")))),
                writer.write(reach("a", || Ok(Work::Done(true)))),
                writer.write(reach("d", || Ok(Work::Done(true)))),
            );
            assert!(done.is_ok() ^ twice.is_ok(), "one of the two with one name fails");
            assert!(!undone.expect("refuses"));
            assert!(matches!(failed, Err(Error::Corrupt("on purpose"))));
            assert!(late.expect("is done"));
            assert_eq!(reached(&database.store).await, ["a", "d"], "{}", database.name);
        }
    }

    #[tokio::test]
    async fn work_that_is_alone_is_whole_or_not_there_as_well() {
        for database in TestDatabase::all().await {
            let writer = &database.store.writer;
            assert!(writer.write(reach("a", || Ok(Work::Done(true)))).await.expect("is done"));
            let undone = writer.write(reach("b", || Ok(Work::Undone(false)))).await;
            assert!(!undone.expect("refuses"));
            let failed = writer.write(reach("c", || Err(Error::Corrupt("on purpose")))).await;
            assert!(matches!(failed, Err(Error::Corrupt("on purpose"))));
            assert!(writer.write(reach("a", || Ok(Work::Done(true)))).await.is_err(), "one name");
            assert!(writer.write(reach("d", || Ok(Work::Done(true)))).await.expect("is done"));
            assert_eq!(reached(&database.store).await, ["a", "d"], "{}", database.name);
        }
    }

    #[tokio::test]
    async fn what_waits_while_a_group_is_written_becomes_the_next_group() {
        let database = TestDatabase::sqlite().await;
        let writer = database.store.writer.clone();
        let Writer::Grouped(jobs) = &writer else { panic!("SQLite writes in groups") };
        let (open, gate) = oneshot::channel::<()>();
        let (started, has_started) = oneshot::channel();
        // Each group runs in a task of its own, so the task's id tells groups apart.
        let first = tokio::spawn({
            let writer = writer.clone();
            async move {
                let written = writer.write(move |_| {
                    Box::pin(async move {
                        started.send(()).ok();
                        gate.await.ok();
                        Ok(Work::Done(tokio::task::id()))
                    })
                });
                written.await.expect("is done")
            }
        });
        has_started.await.expect("starts");
        let others: Vec<_> = (0..50)
            .map(|_| {
                let writer = writer.clone();
                tokio::spawn(async move {
                    let written =
                        writer.write(|_| Box::pin(async { Ok(Work::Done(tokio::task::id())) }));
                    written.await.expect("is done")
                })
            })
            .collect();
        while jobs.capacity() > WAITING_WRITES - others.len() {
            tokio::task::yield_now().await;
        }
        open.send(()).expect("the first waits");
        let first = first.await.expect("does not panic");
        let mut groups = std::collections::HashSet::new();
        for other in others {
            groups.insert(other.await.expect("does not panic"));
        }
        assert_eq!(groups.len(), 1);
        assert!(!groups.contains(&first));
    }

    #[tokio::test]
    async fn a_bug_in_one_piece_of_work_does_not_stop_the_writing() {
        let database = TestDatabase::sqlite().await;
        let writer = &database.store.writer;
        let broken = writer.write(reach("a", || panic!("on purpose"))).await;
        assert!(matches!(broken, Err(Error::Group(_))), "{broken:?}");
        assert!(writer.write(reach("b", || Ok(Work::Done(true)))).await.expect("is done"));
        assert_eq!(reached(&database.store).await, ["b"]);
    }

    #[tokio::test]
    async fn who_writes_to_a_closed_store_hears_so() {
        for database in TestDatabase::all().await {
            database.store.close().await;
            let late = database.store.writer.write(reach("a", || Ok(Work::Done(true)))).await;
            assert!(late.is_err(), "{}", database.name);
        }
    }
}
