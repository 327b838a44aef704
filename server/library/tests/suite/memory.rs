//! A copy holds a few pieces of a blob, never the whole.

use crate::hooks::{Count, Hooked};
use crate::support::{client, name, tag};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use ropeway_library::copy::{CopyOptions, CopyRequest, copy};
use ropeway_library::sample;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const BLOB: usize = 80 << 20;
/// Pieces in the copier, and what the kernel's four socket buffers take on loopback.
const MOST: u64 = 32 << 20;

/// The target takes one piece and then waits until nothing more comes out of the source: what has
/// come out by then is what a copier holds that waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_target_holds_back_the_source() {
    let (given, taken, largest) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let from = Hooked::after({
        let given = given.clone();
        move |method, path, response| {
            if method != "GET" || !path.contains("/blobs/") {
                return response;
            }
            let given = given.clone();
            let (parts, body) = response.into_parts();
            let pieces = body.into_data_stream().inspect(move |piece| {
                given.fetch_add(piece.as_ref().map_or(0, Bytes::len) as u64, Ordering::SeqCst);
            });
            Response::from_parts(parts, Body::from_stream(pieces))
        }
    })
    .await;
    let stops = Count::default();
    let to = Hooked::before({
        let (given, taken, largest, stops) = (given.clone(), taken.clone(), largest.clone(), stops.clone());
        move |request: &mut Request| {
            if request.method() == "PUT" && request.uri().path().contains("/uploads/") {
                let (given, taken, largest, stops) = (given.clone(), taken.clone(), largest.clone(), stops.clone());
                let pieces = std::mem::take(request.body_mut()).into_data_stream().then(move |piece| {
                    let (given, taken, largest, stops) = (given.clone(), taken.clone(), largest.clone(), stops.clone());
                    async move {
                        let before = taken.fetch_add(piece.as_ref().map_or(0, Bytes::len) as u64, Ordering::SeqCst);
                        // Stop at the beginning and now and then.
                        if before >> 24 != taken.load(Ordering::SeqCst) >> 24 || before == 0 {
                            stops.add();
                            settled(&given).await;
                        }
                        let held = given.load(Ordering::SeqCst).saturating_sub(taken.load(Ordering::SeqCst));
                        largest.fetch_max(held, Ordering::SeqCst);
                        piece
                    }
                });
                *request.body_mut() = Body::from_stream(pieces);
            }
            None
        }
    })
    .await;
    let (source, target) = (client(&from.host()), client(&to.host()));
    let image = sample::image("large", "1", "amd64", &[BLOB]);
    sample::push(&source, &name("large"), &tag("1"), &image).await.expect("pushed");
    // As a task of its own, which asks of the copy to move between threads.
    let copying = tokio::spawn(async move {
        let request = CopyRequest {
            source: &source,
            source_repository: name("large"),
            digest: image.digest,
            target: &target,
            target_repository: name("large"),
            tag: None,
            platforms: None,
            mount_from: vec![],
        };
        copy(&request, &CopyOptions::default(), |_| ()).await
    });
    let copied = copying.await.expect("not cancelled").expect("copied");
    assert!(copied.bytes_copied > BLOB as u64);
    assert!(stops.get() > 4, "the target has stopped the copy");
    let largest = largest.load(Ordering::SeqCst);
    assert!(largest < MOST, "{largest} bytes were on their way");
}

/// Returns once a number no longer changes.
async fn settled(number: &AtomicU64) {
    let mut ticks = tokio::time::interval(Duration::from_millis(10));
    let (mut before, mut same) = (u64::MAX, 0);
    while same < 5 {
        ticks.tick().await;
        let now = number.load(Ordering::SeqCst);
        same = if now == before { same + 1 } else { 0 };
        before = now;
    }
}
