//! The developer's pages: the index, the control page, and what its forms do.

use super::frame::{Fields, frame, html, problem, redirect};
use super::operating_view::control_view;
use crate::clocks::steps::Step;
use crate::faults::{Fault, Lost};
use crate::pages::{self, IndexView, Locale};
use crate::sandbox::Sandbox;
use crate::state::world::API_VERSION;
use crate::webhooks::policy::{DeliveryPolicy, share};
use crate::wire::request::{HttpRequest, HttpResponse};

const CONTROL: &str = "/_sandbox";

/// `/`.
pub(super) fn index(sandbox: &Sandbox, request: &HttpRequest) -> HttpResponse {
    let view = sandbox.read(|world| IndexView {
        frame: frame(world, request, Locale::En),
        base_url: world.public_url.clone(),
        api_key: sandbox.config().secret_key.clone().unwrap_or_else(|| "sk_test_sandbox".to_owned()),
        api_version: API_VERSION.to_owned(),
        control_path: CONTROL.to_owned(),
    });
    html(200, pages::index_page(&view), &[])
}

/// `/_sandbox`.
pub(super) fn control(sandbox: &Sandbox, request: &HttpRequest) -> HttpResponse {
    let notice = match Fields::asked(request).text("done") {
        "policy" => Some("The delivery policy is set."),
        "paused" => Some("Deliveries are paused or resumed."),
        "fault" => Some("The faults are set."),
        "reset" => Some("Everything was deleted; the clock goes on."),
        "speed" => Some("The speed of the sandbox's own time is set."),
        "clock" => Some("The test clock is made: give its id to new customers as test_clock."),
        "clock-deleted" => Some("The test clock and its customers are deleted."),
        "delivered" => Some("The event is being delivered again."),
        _ => None,
    };
    let speed = sandbox.speed();
    let view = sandbox.read(|world| {
        control_view(world, frame(world, request, Locale::En), notice.map(str::to_owned), speed)
    });
    html(200, pages::control_page(&view), &[])
}

/// Takes a form of the control page or of the time travel band.
pub(super) fn act(sandbox: &Sandbox, request: &HttpRequest, rest: &[&str]) -> HttpResponse {
    let posted = Fields::posted(request);
    let done = |word: &str| redirect(&format!("{CONTROL}?done={word}"));
    match rest {
        ["travel"] => travel(sandbox, request, None, &posted),
        ["speed"] => match posted.number("speed").and_then(|speed| u32::try_from(speed).ok()) {
            Some(speed) => {
                sandbox.set_speed(speed);
                done("speed")
            }
            None => sandbox
                .read(|world| problem(world, request, 400, "The form names no speed. Nothing changed.")),
        },
        ["clocks"] => {
            let name = Some(posted.text("name")).filter(|name| !name.is_empty()).map(str::to_owned);
            sandbox.change(|world| world.add_clock(world.own_now(), name));
            done("clock")
        }
        ["clocks", id, "travel"] => travel(sandbox, request, Some(id), &posted),
        ["clocks", id, "delete"] => match sandbox.change(|world| world.delete_clock(id)) {
            Ok(()) => done("clock-deleted"),
            Err(error) => sandbox.read(|world| problem(world, request, error.status(), error.message())),
        },
        ["policy"] => {
            let policy = read_policy(sandbox, &posted);
            match sandbox.set_delivery_policy(policy) {
                Ok(()) => done("policy"),
                Err(error) => sandbox.read(|world| problem(world, request, error.status, &error.message)),
            }
        }
        ["pause"] => {
            sandbox.change(|world| world.policy.paused = posted.text("paused") == "true");
            done("paused")
        }
        ["faults"] => match read_fault(&posted) {
            Some(fault) => {
                sandbox.change(|world| world.faults.push(fault));
                done("fault")
            }
            None => sandbox
                .read(|world| problem(world, request, 400, "The form names no fault. Nothing changed.")),
        },
        ["faults", "clear"] => {
            clear_faults(sandbox, &posted);
            done("fault")
        }
        ["reset"] => {
            sandbox.reset();
            done("reset")
        }
        ["events", id, "deliver"] => {
            let times = posted.number("times").and_then(|times| u32::try_from(times).ok()).unwrap_or(1);
            match sandbox.deliver_event(id, times, posted.text("concurrently") == "true") {
                Ok(_) => done("delivered"),
                Err(error) => sandbox.read(|world| problem(world, request, error.status, &error.message)),
            }
        }
        ["customers", id, "portal"] => open_portal(sandbox, request, id),
        _ => sandbox.read(|world| problem(world, request, 404, "There is no such form.")),
    }
}

/// Moves the account's own time, or a test clock.
fn travel(sandbox: &Sandbox, request: &HttpRequest, clock: Option<&str>, posted: &Fields) -> HttpResponse {
    let to = Step::of(posted.text("step")).and_then(|step| sandbox.read(|world| world.step_to(clock, step)));
    match (to, clock) {
        (Some(to), Some(clock)) => {
            if let Err(error) = sandbox.move_test_clock(clock, to) {
                return sandbox.read(|world| problem(world, request, error.status, &error.message));
            }
        }
        (Some(to), None) => sandbox.advance_time_to(to),
        (None, _) => {}
    }
    let back = posted.text("return_to");
    // Only a path of this site: anything else could send the browser away.
    let inside = back.starts_with('/') && !back.starts_with("//") && !back.contains('\\');
    redirect(if inside { back } else { CONTROL })
}

fn read_policy(sandbox: &Sandbox, posted: &Fields) -> DeliveryPolicy {
    let percent =
        |name: &str| share(posted.number(name).and_then(|percent| u32::try_from(percent).ok()).unwrap_or(0));
    let delay = posted.number("delay_seconds").and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0);
    DeliveryPolicy {
        paused: sandbox.delivery_policy().paused,
        duplicate: percent("duplicate"),
        shuffle: percent("shuffle"),
        drop: percent("drop"),
        delay: if delay > 0 { 1.0 } else { 0.0 },
        max_delay_seconds: delay.max(1),
        seed: posted.number("seed").and_then(|seed| u64::try_from(seed).ok()),
    }
}

fn read_fault(posted: &Fields) -> Option<Fault> {
    let fault = Fault {
        path: posted.text("path").to_owned(),
        count: posted.number("count").and_then(|count| u64::try_from(count).ok()).filter(|count| *count > 0),
        ..Fault::default()
    };
    let fault = match posted.text("kind") {
        "429" => Fault { status: Some(429), ..fault },
        "500" => Fault { status: Some(500), ..fault },
        "lost_before_commit" => Fault { lost: Some(Lost::Before), ..fault },
        "lost_after_commit" => Fault { lost: Some(Lost::After), ..fault },
        "latency" => Fault {
            latency_ms: posted
                .number("latency_ms")
                .and_then(|ms| u64::try_from(ms).ok())
                .unwrap_or(1000)
                .min(60_000),
            ..fault
        },
        _ => return None,
    };
    (!fault.path.is_empty()).then_some(fault)
}

fn clear_faults(sandbox: &Sandbox, posted: &Fields) {
    sandbox.change(|world| match posted.number("id").and_then(|id| usize::try_from(id).ok()) {
        Some(index) if index < world.faults.len() => {
            world.faults.remove(index);
        }
        Some(_) => {}
        None => world.faults.clear(),
    });
}

fn open_portal(sandbox: &Sandbox, request: &HttpRequest, customer: &str) -> HttpResponse {
    let made = sandbox.change(|world| world.open_portal(customer));
    match made {
        Ok(path) => redirect(&path),
        Err(error) => sandbox.read(|world| problem(world, request, error.status(), error.message())),
    }
}
