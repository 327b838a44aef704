//! Wakes between processes, by LISTEN and NOTIFY of PostgreSQL. With SQLite there is one process.

use super::{Feed, Topic};
use crate::{id::Id, store::postgres_tls};
use backon::{BackoffBuilder as _, ExponentialBuilder};
use std::{future::poll_fn, time::Duration};
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::AsyncMessage;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const CHANNEL: &str = "ropeway";

/// How long connecting, and sending one wake, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection that lasted so long was a good one: the next one is tried at once.
const GOOD: Duration = Duration::from_secs(60);

impl Feed {
    /// Carries wakes between processes that use one PostgreSQL database, over one connection, which is made anew
    /// whenever it breaks. Runs until `shutdown`; with SQLite it only waits for that.
    pub async fn relay(&self, shutdown: CancellationToken) {
        if !self.0.database.allows_replicas() {
            return shutdown.cancelled().await;
        }
        let pauses = || {
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_millis(200))
                .with_max_delay(Duration::from_secs(10))
                .without_max_times()
                .build()
        };
        let mut pause = pauses();
        loop {
            let began = Instant::now();
            let error = tokio::select! {
                result = self.relay_once() => result.err(),
                () = shutdown.cancelled() => return,
            };
            if let Some(error) = error {
                tracing::warn!(
                    error = &error as &(dyn std::error::Error + 'static),
                    "the connection that carries wakes between replicas broke; it is made anew"
                );
            }
            if began.elapsed() > GOOD {
                pause = pauses();
            }
            tokio::select! {
                () = sleep(pause.next().unwrap_or(PATIENCE)) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// One connection, until it breaks.
    async fn relay_once(&self) -> Result<(), tokio_postgres::Error> {
        let Ok(connected) = timeout(PATIENCE, postgres_tls::connect(&self.0.url)).await else {
            return Ok(());
        };
        let (client, mut connection) = connected?;
        let mut outgoing = self.0.outgoing.lock().await;
        let receive = async {
            while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(notification) = message? {
                    self.take(notification.payload());
                }
            }
            Ok(())
        };
        let send = async {
            client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
            // Whatever was missed while nobody listened.
            self.wake_all();
            while let Some(topic) = outgoing.recv().await {
                let payload = encode(self.0.process, topic);
                let sent = async { client.execute("SELECT pg_notify($1, $2)", &[&CHANNEL, &payload]).await };
                match timeout(PATIENCE, sent).await {
                    Ok(sent) => sent.map(drop)?,
                    Err(_) => return Ok(()),
                }
            }
            Ok(())
        };
        tokio::select! {
            result = receive => result,
            result = send => result,
        }
    }

    /// A wake from some process.
    fn take(&self, payload: &str) {
        if let Some((process, topic)) = decode(payload)
            && process != self.0.process
        {
            self.wake(topic);
        }
    }
}

fn encode(process: Uuid, topic: Topic) -> String {
    match topic {
        Topic::Work => format!("{process} work"),
        Topic::Operation(id) => format!("{process} operation {id}"),
        Topic::Application(id) => format!("{process} application {id}"),
        Topic::Clusters(id) => format!("{process} clusters {id}"),
    }
}

fn decode(payload: &str) -> Option<(Uuid, Topic)> {
    let mut words = payload.split(' ');
    let process = words.next()?.parse().ok()?;
    let word = words.next()?;
    let mut uuid = || words.next()?.parse().ok();
    let topic = match word {
        "work" => Topic::Work,
        "operation" => Topic::Operation(Id::new(uuid()?)),
        "application" => Topic::Application(Id::new(uuid()?)),
        "clusters" => Topic::Clusters(Id::new(uuid()?)),
        _ => return None,
    };
    Some((process, topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_arrives_as_it_was_sent() {
        let [process, id] = [1, 2].map(Uuid::from_u128);
        let topics =
            [Topic::Work, Topic::Operation(Id::new(id)), Topic::Application(Id::new(id)), Topic::Clusters(Id::new(id))];
        for topic in topics {
            assert_eq!(decode(&encode(process, topic)), Some((process, topic)));
        }
        assert_eq!(decode(""), None);
        assert_eq!(decode("x work"), None);
        assert_eq!(decode(&format!("{process} operation")), None);
    }
}
