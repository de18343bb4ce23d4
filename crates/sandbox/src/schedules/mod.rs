//! Subscription schedules at work: phases that begin by themselves, and what people do to them meanwhile.

mod managing;
pub(crate) mod phases;
mod turning;
