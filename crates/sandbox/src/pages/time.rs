//! The part of the control page that moves time: the sandbox's own, with its speed, and each test clock. English only.

use maud::{Markup, html};

use super::control::scroll_table;
use super::layout::{Tone, status, when};
use super::views::{ControlView, Frame, TimeLineRow};

/// Speeds to choose from, in sandbox seconds in each real second.
const SPEEDS: [(u32, &str); 6] = [
    (0, "Stands still"),
    (1, "Real time"),
    (3_600, "1 hour per second"),
    (86_400, "1 day per second"),
    (7 * 86_400, "1 week per second"),
    (30 * 86_400, "30 days per second"),
];

/// All time lines with their steps, the speed of the own one, and the form for a new test clock.
pub(super) fn time(view: &ControlView) -> Markup {
    html! {
        section aria-labelledby="time" {
            h2 id="time" { "Time" }
            (scroll_table("Time", &["Whose", "Now", "Advance"], &html! {
                @for line in &view.time_lines { (time_line(&view.frame, line)) }
            }))
            div class="time-forms" {
                (speed(view))
                form method="post" action=(view.new_clock_action) {
                    div class="field" {
                        label for="clock-name" { "New test clock" }
                        input id="clock-name" name="name" type="text" maxlength="100" autocomplete="off"
                            placeholder="A name, if you like";
                    }
                    button class="second-action" { "Make a clock" }
                }
            }
        }
    }
}

fn time_line(frame: &Frame, line: &TimeLineRow) -> Markup {
    let called = line.name.as_deref().unwrap_or("the test clock");
    // What is shown beside a clock is counted from where that clock stands.
    let there = Frame { now: line.now, ..frame.clone() };
    html! {
        tr {
            th scope="row" class="line-head" {
                (called)
                @if let Some(id) = &line.id { br; code { (id) } }
                @if let Some(customers) = line.customers {
                    br; span class="muted" { (customers) (if customers == 1 { " customer" } else { " customers" }) }
                }
                @if line.advancing { br; (status(Tone::Quiet, "on its way")) }
            }
            td {
                (when(frame, line.now))
                @if let Some(at) = line.next_renewal { br; span class="muted" { "next renewal " } (when(&there, at)) }
            }
            td class="actions" {
                form class="steps" method="post" action=(line.travel_action) {
                    input type="hidden" name="return_to" value="/_sandbox#time";
                    button name="step" value="day" aria-label={ "Advance " (called) " by one day" } { "+1 day" }
                    button name="step" value="month" aria-label={ "Advance " (called) " by one month" } { "+1 month" }
                    button name="step" value="renewal" disabled[line.next_renewal.is_none()]
                        aria-label={ "Advance " (called) " to the next renewal" } { "Next renewal" }
                }
                @if let Some(action) = &line.delete_action {
                    form method="post" action=(action) {
                        button aria-label={ "Delete " (called) " and its customers" } { "Delete" }
                    }
                }
            }
        }
    }
}

fn speed(view: &ControlView) -> Markup {
    let known = SPEEDS.iter().any(|(speed, _)| *speed == view.speed);
    html! {
        form method="post" action=(view.speed_action) {
            div class="field" {
                label for="speed" { "The sandbox's own time runs" }
                select id="speed" name="speed" {
                    @if !known {
                        option value=(view.speed) selected { (view.speed) " seconds per second" }
                    }
                    @for (speed, words) in SPEEDS {
                        option value=(speed) selected[speed == view.speed] { (words) }
                    }
                }
            }
            button class="second-action" { "Set speed" }
        }
    }
}
