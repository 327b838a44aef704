//! A copy moves a few blobs at a time, and no more.

use crate::hooks::{Count, Hooked};
use crate::support::{RegistryUnderTest, client, name, tag};
use axum::body::Body;
use axum::response::Response;
use futures::FutureExt;
use ropeway_library::copy::{CopyOptions, CopyRequest, copy};
use ropeway_library::sample;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;

/// A blob that the source is asked for and has not begun to give.
struct Open(Arc<watch::Sender<usize>>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.send_modify(|number| *number -= 1);
    }
}

#[tokio::test]
async fn no_more_blobs_are_under_way_than_the_copy_may_move_at_a_time() {
    for limit in [1, 3] {
        let (under_way, most, blobs) =
            (Arc::new(watch::channel(0_usize).0), Arc::new(AtomicUsize::new(0)), Count::default());
        let from = Hooked::after({
            let (under_way, most, blobs) = (under_way.clone(), most.clone(), blobs.clone());
            move |method, path, response| {
                if method != "GET" || !path.contains("/blobs/") {
                    return response;
                }
                blobs.add();
                under_way.send_modify(|number| *number += 1);
                let open = Open(under_way.clone());
                most.fetch_max(*under_way.borrow(), Ordering::SeqCst);
                // Held until one more is under way than may be, for as long as that would take.
                let mut seen = under_way.subscribe();
                let held = async move {
                    let more = seen.wait_for(|number| *number > limit);
                    let _late = tokio::time::timeout(Duration::from_millis(200), more).await;
                    // Before the copy can have all of it and go on with another.
                    drop(open);
                };
                let (parts, body) = response.into_parts();
                let pieces = held.map(|()| body.into_data_stream()).flatten_stream();
                Response::from_parts(parts, Body::from_stream(pieces))
            }
        })
        .await;
        let target = RegistryUnderTest::Embedded.start().await.expect("always there");
        let source = client(&from.host());
        let image = sample::image("web", "1", "amd64", &[1000, 2000, 3000, 4000, 5000, 6000]);
        sample::push(&source, &name("web"), &tag("1"), &image).await.expect("pushed");
        let request = CopyRequest {
            source: &source,
            source_repository: name("web"),
            digest: image.digest,
            target: &target.client(),
            target_repository: name("copy"),
            tag: None,
            platforms: None,
            mount_from: vec![],
        };
        let options = CopyOptions { concurrent_blobs: limit, ..CopyOptions::default() };
        let copied = copy(&request, &options, |_| ()).await.expect("copied");
        assert_eq!(copied.blobs_copied, 7, "six layers and the configuration");
        assert!(blobs.get() >= 7, "{} blobs came from the source", blobs.get());
        assert_eq!(most.load(Ordering::SeqCst), limit, "all places are used, and no more");
    }
}
