//! A load generator: many keep-alive HTTP/1.1 connections, one request at a time on each, nothing pipelined.
//!
//! One thread, so that it takes one core at most and leaves the other to the server. It talks to loopback only, for a
//! bounded time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use xtask::clock::Stopwatch;

/// Writes the request with this number, without its predecessor's bytes; `false` when there are no more.
pub trait Requests: Send + Sync + 'static {
    /// Fills the buffer with a whole request: head and body.
    fn write(&self, number: usize, buffer: &mut Vec<u8>) -> bool;
}

/// What one run saw.
pub struct Load {
    /// Answers with status 200.
    pub answered: u64,
    /// Answers with another status, by the first one seen.
    pub refused: u64,
    /// The first answer that was not 200, for the report.
    pub first_refusal: Option<String>,
    /// How long the run took.
    pub elapsed: Duration,
    /// Each answer's latency in nanoseconds, sorted.
    latencies: Vec<u64>,
}

impl Load {
    /// Answers per second.
    pub fn per_second(&self) -> u64 {
        let nanos = self.elapsed.as_nanos().max(1);
        u64::try_from(u128::from(self.answered) * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
    }

    /// The latency in microseconds that this many of a hundred answers stayed under.
    pub fn percentile(&self, percent: usize) -> u64 {
        let last = self.latencies.len().saturating_sub(1);
        let rank = (self.latencies.len() * percent / 100).min(last);
        self.latencies.get(rank).copied().unwrap_or(0) / 1_000
    }
}

/// Sends requests over `connections` connections for `seconds`.
pub fn run(port: u16, connections: usize, seconds: u64, requests: Arc<dyn Requests>) -> Result<Load> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(drive(port, connections, Duration::from_secs(seconds), requests))
}

async fn drive(port: u16, connections: usize, time: Duration, requests: Arc<dyn Requests>) -> Result<Load> {
    let next = Arc::new(AtomicUsize::new(0));
    let watch = Stopwatch::start();
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            let (next, requests) = (Arc::clone(&next), Arc::clone(&requests));
            tokio::spawn(async move { connection(port, time, watch, &next, &*requests).await })
        })
        .collect();
    let mut sum =
        Load { answered: 0, refused: 0, first_refusal: None, elapsed: Duration::ZERO, latencies: Vec::new() };
    for task in tasks {
        let part = task.await??;
        sum.answered += part.answered;
        sum.refused += part.refused;
        sum.first_refusal = sum.first_refusal.or(part.first_refusal);
        sum.latencies.extend(part.latencies);
    }
    sum.elapsed = watch.elapsed();
    sum.latencies.sort_unstable();
    Ok(sum)
}

async fn connection(
    port: u16,
    time: Duration,
    watch: Stopwatch,
    next: &AtomicUsize,
    requests: &dyn Requests,
) -> Result<Load> {
    let mut stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .context("the server takes no connection")?;
    stream.set_nodelay(true)?;
    let mut load = Load {
        answered: 0,
        refused: 0,
        first_refusal: None,
        elapsed: Duration::ZERO,
        latencies: Vec::with_capacity(65_536),
    };
    let (mut request, mut answer) = (Vec::with_capacity(8_192), Vec::with_capacity(8_192));
    while watch.elapsed() < time {
        if !requests.write(next.fetch_add(1, Ordering::Relaxed), &mut request) {
            break;
        }
        let sent = watch.elapsed();
        stream.write_all(&request).await?;
        let status = read_answer(&mut stream, &mut answer).await?;
        let taken = watch.elapsed().saturating_sub(sent);
        load.latencies.push(u64::try_from(taken.as_nanos()).unwrap_or(u64::MAX));
        if status == 200 {
            load.answered += 1;
        } else {
            load.refused += 1;
            load.first_refusal.get_or_insert_with(|| String::from_utf8_lossy(&answer).into_owned());
        }
    }
    Ok(load)
}

/// Reads one answer into the buffer and returns its status.
async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16> {
    buffer.clear();
    loop {
        let read = stream.read_buf(buffer).await?;
        ensure!(read > 0, "the server closed the connection");
        if let Some(answer) = parse(buffer)? {
            return Ok(answer);
        }
    }
}

/// The status, when the buffer holds a whole answer.
fn parse(buffer: &[u8]) -> Result<Option<u16>> {
    let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(buffer.get(..end).unwrap_or_default())?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .context("an answer without a status")?
        .parse()?;
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse::<usize>());
    let Some(length) = length else {
        bail!("an answer without Content-Length: {head}");
    };
    Ok((buffer.len() >= end + 4 + length?).then_some(status))
}
