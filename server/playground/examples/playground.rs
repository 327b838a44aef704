//! Runs a playground until standard input closes, and prints its kubeconfig: for looking at one with kubectl.

use std::io::Read;

use ropeway_playground::{Options, Playground};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let token = std::process::id().to_string();
    let playground = Playground::start(Options::new("playground", token)).await?;
    println!("{}", playground.kubeconfig());
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    playground.stop().await;
    Ok(())
}
